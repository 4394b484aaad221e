"""See ``drasi.templates``."""

from drasi.templates import Bind, Place, RenderError, Template, TemplateError, parse

__all__ = ["Bind", "Place", "RenderError", "Template", "TemplateError", "parse"]

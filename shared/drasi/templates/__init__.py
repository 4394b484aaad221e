"""Handlebars (connectors.md section 6.1): of reactions for what they send, of sources for what they read."""

from drasi.templates.template import Bind, Place, RenderError, Template, TemplateError, fill_each, parse, parse_each

__all__ = ["Bind", "Place", "RenderError", "Template", "TemplateError", "fill_each", "parse", "parse_each"]

"""Checks of CALL of a procedure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from drasi.language import tree, types
from drasi.language.place import nearest
from drasi.language.procedures import Signature, type_named
from drasi.language.projection_check import ProjectionChecker
from drasi.language.scope import Context, Scope
from drasi.language.types import certainly_not


class ProcedureChecker(ProjectionChecker):
    """Checks procedure calls against the signatures that the host program registered."""

    def __init__(self, text: str, parameters: Mapping[str, Any] | None, language: str, procedures: Mapping[str, Signature]) -> None:
        super().__init__(text, parameters, language)
        self.procedures = procedures

    def call_procedure(
        self, call: tree.CallProcedure, scope: Scope, context: Context, *, standalone: bool
    ) -> tuple[Scope, list[tree.Clause]]:
        """The scope after a call, and its normal form: with arguments, results, and a RETURN when it stands alone."""
        signature = self.procedures.get(call.name)
        if signature is None:
            close = nearest(call.name, self.procedures)
            hint = f"did you mean {close}?" if close else "procedures are registered by the program that embeds the engine"
            raise self.fail(call, "ProcedureNotFound", f"there is no procedure {call.name}", hint=hint, type="ProcedureError")
        arguments = self._arguments(call, signature, scope, context, standalone=standalone)
        results = {name: type_named(written) for name, written in signature.results}
        yields = call.yields
        if yields is None:
            yields = tuple((name, name) for name in results) if standalone else ()
        bound = dict(scope)
        for name, alias in yields:
            if name not in results:
                raise self.undefined(call, name, results)
            if alias in bound:
                raise self.fail(call, "VariableAlreadyBound", f"{alias} is bound already", hint=f"YIELD {name} AS another name")
            bound[alias] = results[name]
            self.names_seen.add(alias)
        if call.where is not None:
            self.condition(call.where, bound, replace(context, no_aggregates="in CALL"))
        clauses: list[tree.Clause] = [replace(call, arguments=arguments, yields=yields)]
        if standalone and yields:
            items = tuple(tree.Item(tree.Variable(alias, pos=call.pos), alias, pos=call.pos, text=alias) for _, alias in yields)
            clauses.append(tree.Projection(items, final=True, pos=call.pos))
        return bound, clauses

    def _arguments(
        self, call: tree.CallProcedure, signature: Signature, scope: Scope, context: Context, *, standalone: bool
    ) -> tuple[tree.Expression, ...]:
        wanted = signature.arguments
        if call.arguments is None:
            if not standalone:
                if not wanted:
                    return ()
                names = ", ".join(f"${name}" for name, _ in wanted)
                message = f"inside a query the arguments of {call.name} must be written"
                raise self.fail(call, "InvalidArgumentPassingMode", message, hint=f"{call.name}({names})")
            given = tuple(tree.Parameter(name, pos=call.pos) for name, _ in wanted)
            for parameter in given:
                self.type_of(parameter, scope, context)
            return given
        if len(call.arguments) != len(wanted):
            message = f"{call.name} takes {len(wanted)} argument{'' if len(wanted) == 1 else 's'}, not {len(call.arguments)}"
            raise self.fail(call, "InvalidNumberOfArguments", message)
        inside = replace(context, no_aggregates="in CALL")
        for argument, (name, written) in zip(call.arguments, wanted, strict=True):
            found, expected = self.type_of(argument, scope, inside), type_named(written)
            accepted = types.NUMBERS if expected in (types.FLOAT, types.NUMBER) else frozenset({expected.name})
            if expected != types.ANY and certainly_not(found, accepted):
                message = f"the argument {name} of {call.name} is {written}, this is {found}"
                raise self.fail(argument, "InvalidArgumentType", message)
        return call.arguments

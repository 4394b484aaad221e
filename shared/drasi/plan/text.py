"""Trees as text again: for plans, not for parsing."""

from __future__ import annotations

from drasi.language import tree

_CONSTANTS = {"True": "true", "False": "false", "None": "null"}


def expression_text(node: tree.Tree) -> str:
    """A readable, fully parenthesised form."""
    e = expression_text
    match node:
        case tree.Literal(value=value):
            return _CONSTANTS[str(value)] if value is None or isinstance(value, bool) else repr(value)
        case tree.Parameter(name=name):
            return f"${name}"
        case tree.Variable(name=name):
            return name.strip()
        case tree.ListLiteral(items=items):
            return f"[{', '.join(map(e, items))}]"
        case tree.MapLiteral(entries=entries):
            return "{" + ", ".join(f"{key}: {e(value)}" for key, value in entries) + "}"
        case tree.Property(subject=subject, key=key):
            return f"{e(subject)}.{key}"
        case tree.Index(subject=subject, index=index):
            return f"{e(subject)}[{e(index)}]"
        case tree.Slice(subject=subject, start=start, stop=stop):
            return f"{e(subject)}[{e(start) if start else ''}..{e(stop) if stop else ''}]"
        case tree.MapProjection(subject=subject, items=projected):
            return f"{e(subject)} {{{', '.join('.*' if value is None else f'{key}: {e(value)}' for key, value in projected)}}}"
        case tree.Unary(operator=operator, operand=operand):
            return f"{operator} {e(operand)}" if operator == "NOT" else f"{operator}{e(operand)}"
        case tree.Binary(operator=operator, left=left, right=right):
            return f"({e(left)} {operator} {e(right)})"
        case tree.Comparison(first=first, rest=rest):
            return " ".join([e(first), *[f"{operator} {e(value)}" for operator, value in rest]])
        case tree.IsNull(operand=operand, negated=negated):
            return f"{e(operand)} IS {'NOT ' if negated else ''}NULL"
        case tree.HasLabels(subject=subject, labels=labels):
            return f"{e(subject)}:{e(labels)}"
        case tree.Case(subject=case_subject, branches=branches, default=default):
            head = f"CASE {e(case_subject)}" if case_subject else "CASE"
            body = "".join(f" WHEN {e(when)} THEN {e(then)}" for when, then in branches)
            return f"{head}{body}{f' ELSE {e(default)}' if default else ''} END"
        case tree.Cast(operand=operand, type=type_):
            return f"CAST({e(operand)} AS {type_})"
        case tree.FunctionCall(name=name, arguments=arguments, distinct=distinct, star=star):
            inside = "*" if star else ("DISTINCT " if distinct else "") + ", ".join(map(e, arguments))
            return f"{name}({inside})"
        case tree.ListComprehension(variable=variable, items=source, where=where, projection=projection):
            return f"[{variable} IN {e(source)}{_where(where)}{f' | {e(projection)}' if projection else ''}]"
        case tree.Quantifier(kind=kind, variable=variable, items=source, where=condition):
            return f"{kind}({variable} IN {e(source)}{_where(condition)})"
        case tree.Reduce(accumulator=name, initial=initial, variable=variable, items=source, where=where, projection=body):
            return f"reduce({name} = {e(initial)}, {variable} IN {e(source)}{_where(where)} | {e(body)})"
        case tree.Label(name=name):
            return name
        case tree.AnyLabel():
            return "%"
        case tree.NotLabel(operand=label):
            return f"!{e(label)}"
        case tree.LabelAnd(operands=operands):
            return "(" + "&".join(map(e, operands)) + ")"
        case tree.LabelOr(operands=operands):
            return "(" + "|".join(map(e, operands)) + ")"
    return type(node).__name__


def _where(where: tree.Expression | None) -> str:
    return f" WHERE {expression_text(where)}" if where is not None else ""

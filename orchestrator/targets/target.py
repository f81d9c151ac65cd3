"""A target: a function or class that a spec names as `package.module:name`."""

from __future__ import annotations

import msgspec

__all__ = ["Target", "TargetFormError", "parse_target"]


class Target(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="target"):
    """A function or class by name: `module` as imported, `qualname` the dotted path within it."""

    module: str
    qualname: str

    def __str__(self) -> str:
        return f"{self.module}:{self.qualname}"


class TargetFormError(ValueError):
    """A target that is not written as `package.module:name`."""

    def __init__(self, text: str, hint: str) -> None:
        super().__init__(f'"{text[:80]}" is not of the form package.module:name')
        self.hint = hint


def parse_target(text: str) -> Target:
    """Return the target in `package.module:name`.

    Raises:
        TargetFormError: it is of another form; its hint says how to write it.

    """
    module, colon, qualname = text.partition(":")
    if colon and all(part.isidentifier() for part in [*module.split("."), *qualname.split(".")]):
        return Target(module=module, qualname=qualname)
    hint = "write package.module:function"
    parts = text.split(".")
    if "lambda" in text or "<locals>" in text:
        hint = "write a function at the top of a module (def name), and name it here"
    elif not colon and len(parts) > 1 and all(part.isidentifier() for part in parts):
        hint = f"write {'.'.join(parts[:-1])}:{parts[-1]}"
    elif text.endswith("()"):
        hint = f"write {text[:-2]}"
    elif "/" in module or module.endswith(".py"):
        dotted = module.removesuffix(".py").strip("./").replace("/", ".")
        hint = f"write {dotted}:{qualname or 'name'}"
    raise TargetFormError(text, hint)

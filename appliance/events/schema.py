"""The published JSON Schemas (draft 7, in ``schemas/``) and the check against them.

The library is imported with the first check, or by ``prepare`` (docs/adr/0003).
"""

import json
from functools import cache
from importlib.resources import files
from typing import Any

from appliance.errors import VerificationError


class Schema:
    """One published schema, compiled when first used.

    Args:
        name: file name in ``schemas/`` without ``.json``.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def text(self) -> str:
        """Return the schema as published."""
        return files("appliance.events").joinpath(f"schemas/{self._name}.json").read_text("utf-8")

    def prepare(self) -> None:
        """Compile now, so that no person waits for it later."""
        _compiled(self)

    def check(self, value: Any) -> None:
        """Check ``value``.

        Raises:
            VerificationError: names the place and the rule, never the value.
        """
        from fastjsonschema import JsonSchemaValueException

        try:
            _compiled(self)(value)
        except JsonSchemaValueException as error:
            place = ".".join(str(part) for part in error.path)
            raise VerificationError(f"{place} breaks the rule '{error.rule}' of {self._name}") from None


@cache
def _compiled(schema: Schema) -> Any:
    import fastjsonschema

    published = json.loads(schema.text())
    return fastjsonschema.compile(_inlined(published, published.get("definitions", {})), use_default=False)


def _inlined(node: Any, definitions: dict[str, Any]) -> Any:
    """Return a schema with every reference replaced by what it refers to: the check then costs a third less.

    Only references to the schema's own ``definitions``, and none of these to itself.
    """
    if isinstance(node, list):
        return [_inlined(part, definitions) for part in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return _inlined(definitions[node["$ref"].removeprefix("#/definitions/")], definitions)
    return {name: _inlined(part, definitions) for name, part in node.items() if name != "definitions"}


EVENT = Schema("event-1")
RECEIPT = Schema("receipt-1")
DOCUMENT = Schema("document-1")
ROSTER = Schema("roster-1")
STATUS = Schema("status-1")
KEYS = Schema("keys-1")
SERVICES = Schema("services-1")
QUERY = Schema("query-1")
ANSWER = Schema("answer-1")

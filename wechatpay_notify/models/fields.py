"""Two column types that databases would otherwise treat differently: exact text, and JSON kept as text."""

import json
from typing import TYPE_CHECKING, Any

from django.db import models

if TYPE_CHECKING:
    _CharField = models.CharField[Any, Any]
    _TextField = models.TextField[Any, Any]
else:
    _CharField, _TextField = models.CharField, models.TextField


class ExactCharField(_CharField):
    """Text that equals only itself: MariaDB's default collation would let `CASE1` settle order `case1`."""

    def db_parameters(self, connection: Any) -> dict[str, Any]:
        parameters: dict[str, Any] = dict(super().db_parameters(connection))
        if connection.vendor == "mysql":
            parameters["collation"] = "utf8mb4_bin"
        return parameters


class JSONTextField(_TextField):
    """A JSON value stored as ASCII text: PostgreSQL's jsonb refuses `\\u0000`, utf8mb3 refuses emoji."""

    if TYPE_CHECKING:
        _pyi_private_set_type: Any
        _pyi_private_get_type: Any

    def from_db_value(self, value: str | None, *_: Any) -> Any:
        return json.loads(value) if value else None

    def to_python(self, value: Any) -> Any:
        return json.loads(value) if isinstance(value, str) and value else value

    def get_prep_value(self, value: Any) -> Any:
        return "" if value is None else json.dumps(value, separators=(",", ":"))

    def value_to_string(self, obj: models.Model) -> Any:
        return self.get_prep_value(self.value_from_object(obj))

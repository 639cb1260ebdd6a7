"""Two column types that databases would otherwise treat differently: exact text, and JSON kept as text."""

import json
from typing import Any

from django.db import models


class ExactCharField(models.CharField):
    """Text that equals only itself: MariaDB's default collation would let `CASE1` settle order `case1`."""

    def db_parameters(self, connection: Any) -> dict[str, Any]:
        parameters: dict[str, Any] = dict(super().db_parameters(connection))
        if connection.vendor == "mysql":
            parameters["collation"] = "utf8mb4_bin"
        return parameters


class JSONTextField(models.TextField):
    """A JSON value stored as ASCII text: PostgreSQL's jsonb refuses `\\u0000`, utf8mb3 refuses emoji."""

    def from_db_value(self, value: str | None, *_: Any) -> Any:
        return json.loads(value) if value else None

    def to_python(self, value: Any) -> Any:
        return json.loads(value) if isinstance(value, str) and value else value

    def get_prep_value(self, value: Any) -> Any:
        return "" if value is None else json.dumps(value, separators=(",", ":"))

    def value_to_string(self, obj: models.Model) -> Any:
        return self.get_prep_value(self.value_from_object(obj))

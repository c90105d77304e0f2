"""Where a token is carried: "the Authorization: Bearer token header", and nowhere else."""

from __future__ import annotations

from rolecall.reference.call import Call
from rolecall.reference.errors import bad_request, unauthorized


class BearerReader:
    """Takes the token out of a request."""

    def token(self, call: Call) -> str:
        """The bearer token."""
        value = self.header(self.headers(call))
        if value is None:
            raise unauthorized("No authorization token was found")
        scheme, _, token = value.partition(" ")
        if not self.is_bearer(scheme):
            raise unauthorized("No authorization token was found")
        return self.token_as_sent(token)

    def headers(self, call: Call) -> list[str]:
        """The Authorization headers of a request."""
        return call.header_values(b"authorization")

    def header(self, values: list[str]) -> str | None:
        """The one header; two would be two opinions on who is calling (RFC 9110, section 5.3)."""
        if len(values) > 1:
            raise bad_request("More than one Authorization header")
        return values[0] if values else None

    def is_bearer(self, scheme: str) -> bool:
        """Schemes are compared without regard to case (RFC 9110, section 11.1)."""
        return scheme.lower() == "bearer"

    def token_as_sent(self, token: str) -> str:
        """The token as sent; white space that does not belong there is not forgiven."""
        if not token:
            raise unauthorized("No authorization token was found")
        return token

"""Refusals, and the bodies that tell a client about them."""

from __future__ import annotations

from rolecall.reference.strict_json import Document


class Refusal(Exception):  # not an error of ours
    """A request is not done; status, message and headers say why."""

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers or {}


def bad_request(message: str) -> Refusal:
    """400: the request cannot be understood."""
    return Refusal(400, message)


def unauthorized(message: str) -> Refusal:
    """401: what was presented is not a valid token, or nothing was (RFC 9110, section 15.5.2)."""
    return Refusal(401, message, {"WWW-Authenticate": 'Bearer realm="web1on1"'})


def forbidden() -> Refusal:
    """403: the token has expired, or its scope is too low."""
    return Refusal(403, "Permission Denied")


def not_found(message: str = "Not found") -> Refusal:
    """404: the thing does not exist."""
    return Refusal(404, message)


def method_not_allowed(*allowed: str) -> Refusal:
    """405, with the methods that would do."""
    return Refusal(405, "Method not allowed", {"Allow": ", ".join(allowed)})


class ErrorBodies:
    """How a refusal is worded."""

    def document(self, refusal: Refusal) -> Document:
        """The body of a refusal."""
        return {"error": {"message": self.message(refusal)}}

    def message(self, refusal: Refusal) -> str:
        """The sentence for the client. It repeats nothing of what the client sent."""
        return refusal.message

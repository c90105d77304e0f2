"""The token endpoint: issuance and the two refresh paths, as requests."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from rolecall.evidence import Exchange
from rolecall.http.client import Client
from rolecall.target import Account
from rolecall.tokens import TOKEN_PATH, Caller


class TokenEndpoint:
    """``/v2/auth/token``; every method returns the exchange and judges nothing."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def issue(self, account: Account) -> Exchange:
        """Ask for a token with e-mail and password; harmless to repeat."""
        body = {"email": account.email, "password": account.password}
        return await self._client.send(
            "POST", TOKEN_PATH, json=body, caller=account.name, repeatable=True
        )

    async def post(self, body: Any, *, caller: str, attack: str, **options: Any) -> Exchange:
        """Post any body at all; ``attack`` names the requirement that wants it refused."""
        return await self._client.send(
            "POST", TOKEN_PATH, json=body, caller=caller, attack=attack, **options
        )

    async def refresh_get(
        self, refresh_token: str, *, bearer: str, caller: str, attack: str = ""
    ) -> Exchange:
        """Refresh before expiry: the refresh token in the query, the access token as bearer."""
        path = f"{TOKEN_PATH}?refreshToken={quote(refresh_token, safe='')}"
        return await self._client.send(
            "GET", path, token=bearer, caller=caller, attack=attack, repeatable=False
        )

    async def refresh_post(
        self, refresh_token: str, client_id: str, *, caller: str, attack: str = ""
    ) -> Exchange:
        """Refresh after expiry: refresh token and e-mail in the body, no Authorization."""
        body = {"refreshToken": refresh_token, "clientId": client_id}
        return await self._client.send("POST", TOKEN_PATH, json=body, caller=caller, attack=attack)

    async def refresh_by(
        self, path: str, refresh_token: str, caller: Caller, *, attack: str
    ) -> Exchange:
        """Refresh by ``get`` or ``post`` as this caller, with any refresh token at all."""
        if path == "get":
            return await self.refresh_get(
                refresh_token, bearer=caller.token, caller=str(caller), attack=attack
            )
        return await self.refresh_post(
            refresh_token, caller.email, caller=str(caller), attack=attack
        )

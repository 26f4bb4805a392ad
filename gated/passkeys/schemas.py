"""Bodies of the routes of passkeys.

What goes to and comes from an authenticator is spelt as WebAuthn spells it (Level 3, 5.1.8 and 9):
browsers read and write it as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from gated.http.schemas import In, Out, Text
from gated.passkeys.challenges import LASTS_S
from gated.passkeys.passkeys import Ceremony
from gated.passkeys.relying_party import ALGORITHMS


def _base64url(length: int) -> Any:
    return StringConstraints(pattern=r"^[A-Za-z0-9_-]+$", max_length=length)


CredentialId = Annotated[str, _base64url(1364)]
"""1023 bytes at most."""
ClientData = Annotated[str, _base64url(8192)]
MILLISECONDS = 1000


class _Given(BaseModel):
    """A browser says more than is needed: that is ignored."""

    model_config = ConfigDict(hide_input_in_errors=True)


class AssertionResponse(_Given):
    client_data: Annotated[ClientData, Field(alias="clientDataJSON")]
    authenticator_data: Annotated[str, _base64url(8192), Field(alias="authenticatorData")]
    signature: Annotated[str, _base64url(4096)]
    user_handle: Annotated[str | None, Field(alias="userHandle", max_length=128)] = None


class Assertion(_Given):
    """WebAuthn's AuthenticationResponseJSON."""

    id: CredentialId
    raw_id: Annotated[CredentialId, Field(alias="rawId")]
    type: Literal["public-key"]
    response: AssertionResponse


class AttestationResponse(_Given):
    client_data: Annotated[ClientData, Field(alias="clientDataJSON")]
    attestation_object: Annotated[str, _base64url(65_536), Field(alias="attestationObject")]


class Attestation(_Given):
    """WebAuthn's RegistrationResponseJSON."""

    id: CredentialId
    raw_id: Annotated[CredentialId, Field(alias="rawId")]
    type: Literal["public-key"]
    response: AttestationResponse


class PasskeyName(In):
    name: Annotated[Text, StringConstraints(max_length=100)]
    """By which its owner knows it: of the phone, of the key."""


class PasskeyIn(PasskeyName):
    credential: Attestation


class PasskeyOut(Out):
    id: int
    name: str
    created_at: datetime
    last_used_at: datetime | None


class KnownCredential(Out):
    id: str
    type: Literal["public-key"] = "public-key"


class RelyingPartyOut(Out):
    id: str
    name: str


class UserOut(Out):
    id: str
    """Random: authenticators keep it, and it tells nobody whose account it is."""
    name: str
    display_name: Annotated[str, Field(serialization_alias="displayName")]


class AlgorithmOut(Out):
    alg: int
    """COSE's number of it."""
    type: Literal["public-key"] = "public-key"


class SelectionOut(Out):
    resident_key: Annotated[Literal["required"], Field(serialization_alias="residentKey")] = (
        "required"
    )
    require_resident_key: Annotated[bool, Field(serialization_alias="requireResidentKey")] = True
    user_verification: Annotated[
        Literal["required"], Field(serialization_alias="userVerification")
    ] = "required"


class CreationOptionsOut(Out):
    """WebAuthn's PublicKeyCredentialCreationOptionsJSON."""

    rp: RelyingPartyOut
    user: UserOut
    challenge: str
    algorithms: Annotated[list[AlgorithmOut], Field(serialization_alias="pubKeyCredParams")]
    exclude: Annotated[list[KnownCredential], Field(serialization_alias="excludeCredentials")]
    selection: Annotated[SelectionOut, Field(serialization_alias="authenticatorSelection")]
    attestation: Literal["none"] = "none"
    timeout: int = LASTS_S * MILLISECONDS

    @classmethod
    def of(cls, asked: Ceremony, username: str) -> CreationOptionsOut:
        """Ask for a passkey of an account."""
        handle = asked.challenge.user_handle
        return cls(
            rp=RelyingPartyOut(id=asked.party.domain, name=asked.party.name),
            user=UserOut(id=handle, name=username, display_name=username),
            challenge=asked.challenge.challenge,
            algorithms=[AlgorithmOut(alg=number) for number in ALGORITHMS],
            exclude=[KnownCredential(id=known.credential_id) for known in asked.known],
            selection=SelectionOut(),
        )


class RequestOptionsOut(Out):
    """WebAuthn's PublicKeyCredentialRequestOptionsJSON; any account's passkey may answer."""

    challenge: str
    rp_id: Annotated[str, Field(serialization_alias="rpId")]
    user_verification: Annotated[
        Literal["required"], Field(serialization_alias="userVerification")
    ] = "required"
    allowed: Annotated[
        Sequence[KnownCredential], Field(serialization_alias="allowCredentials")
    ] = ()
    timeout: int = LASTS_S * MILLISECONDS

"""The exceptions of gated, each with a stable machine-readable code and an exit code.

GatedError
├── ConfigError            configuration           exit 3
├── AssetError             assets or model         exit 4
├── StorageError           database or files       exit 5
│   ├── SchemaTooNew       written by a newer one  exit 7
│   ├── SealError          cannot be unsealed      exit 5
│   ├── Unreadable         no value of ours        exit 5
│   ├── StateLocked        another gated runs here exit 5
│   └── NotOwner           somebody else's data    exit 5
├── DeviceError            camera, door            exit 6
├── GateUnavailable        the door process is away exit 6
├── SourceError            unreadable input        exit 2
├── HubError               the hub                 exit 1
│   └── HubUnreachable     no answer from it       exit 1
└── Refused                the request is refused  exit 1
    ├── NotFound
    ├── Conflict
    │   ├── DuplicateFace
    │   ├── Taken
    │   │   ├── PersonnelCodeTaken
    │   │   └── EmailTaken
    │   ├── CardTaken
    │   ├── InUse
    │   ├── LastAdmin
    │   ├── AlreadyDone
    │   ├── DoorShut
    │   ├── ChangedMeanwhile
    │   ├── NoGate
    │   ├── NotJoined
    │   ├── SnapshotNeeded
    │   ├── BelongsToHub
    │   ├── EditConflict
    │   ├── ConsentMissing
    │   ├── PasskeyUnusable
    │   ├── RetentionHold
    │   └── ClockDoubtful
    ├── EnrollmentRefused
    │   ├── NoPicture
    │   └── PictureTooLarge
    ├── Busy
    ├── TooMany
    ├── SettingsRefused
    ├── WeakPassword
    ├── NamedRefusal
    │   ├── CardRefused
    │   └── RuleMisfit
    ├── TextRefused
    ├── UnknownParameter
    ├── NotAllowed
    │   ├── CsrfMissing
    │   └── ConfirmationNeeded
    └── NotSignedIn
        ├── BadCredentials
        ├── PasskeyRefused
        ├── SignInAgain
        ├── Revoked
        ├── BadSignature
        │   └── ClockSkew
        └── Throttled
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Self


@dataclass(frozen=True, slots=True)
class Broken:
    """The rule that a value breaks, None where it has no name; its limit; and words for both."""

    rule: str | None
    limit: str | None
    detail: str


@dataclass(frozen=True, slots=True)
class Mistake:
    """A mistake in the configuration. place: file and line, or who gave it; key: as it is written.

    Both are empty where nothing of the kind is known.
    """

    place: str
    key: str
    broken: Broken

    def __str__(self) -> str:
        return ": ".join(part for part in (self.place, self.key, self.broken.detail) if part)


class GatedError(Exception):
    """Anything that gated reports to a person in one sentence that says what to do next.

    rule, limit: the name of what is wrong, for whoever has words of their own, and its limit as
    text; None where it has none. at: where in a request it stands.
    """

    code: ClassVar[str] = "error"
    exit_code: ClassVar[int] = 70
    at: ClassVar[str] = "body"
    rule: str | None = None
    limit: str | None = None

    def named(self, rule: str | None, limit: str | None = None) -> Self:
        """Give what is wrong a name, in `raise Refused("...").named("...")`."""
        self.rule, self.limit = rule, limit
        return self


class ConfigError(GatedError):
    """The configuration cannot be used; `problems` lists every reason, one line each.

    mistakes: the same with their names; empty where nothing has one.
    """

    code = "configuration"
    exit_code = 3

    def __init__(self, *problems: str, mistakes: Sequence[Mistake] = ()) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems
        self.mistakes = tuple(mistakes)

    @classmethod
    def of(cls, mistakes: Sequence[Mistake]) -> Self:
        """Make it of mistakes, each of which is a line."""
        return cls(*map(str, mistakes), mistakes=mistakes)


class AssetError(GatedError):
    """A model or another asset is missing, damaged or unreachable."""

    code = "assets"
    exit_code = 4


class StorageError(GatedError):
    """The database or a file of the state directory cannot be used."""

    code = "storage"
    exit_code = 5


class SchemaTooNew(StorageError):
    """The database was written by a newer program."""

    code = "schema_too_new"
    exit_code = 7


class SealError(StorageError):
    """A sealed file is damaged or was sealed with another key."""

    code = "seal"


class Unreadable(StorageError, ValueError):
    """The database holds a value that this program never writes into such a column."""


class StateLocked(StorageError):
    """Another program uses the state directory."""

    code = "state_locked"


class NotOwner(StorageError):
    """The state directory belongs to another user than the one who types a command."""

    code = "not_owner"


class DeviceError(GatedError):
    """A camera or a door cannot be used."""

    code = "device"
    exit_code = 6


class GateUnavailable(GatedError):
    """The process that holds camera and door does not answer, or not in time."""

    code = "gate_unavailable"
    exit_code = 6


class SourceError(GatedError):
    """An input that the user named (video, folder, CSV, photo) cannot be read."""

    code = "source"
    exit_code = 2


class HubError(GatedError):
    """The hub refused a request or did not answer.

    status, hub_code: the HTTP status and the problem code of the hub's answer; 0 and empty without
    one. retry_after: seconds to wait, if the hub named them. reason: why the network or TLS failed.
    """

    code = "hub"
    exit_code = 1

    def __init__(
        self,
        message: str,
        status: int = 0,
        hub_code: str = "",
        retry_after: float | None = None,
        reason: str = "",
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.status = status
        self.hub_code = hub_code
        self.retry_after = retry_after


class HubUnreachable(HubError):
    """No answer from the hub, or one that is not the hub's."""

    code = "hub_unreachable"


class Refused(GatedError):
    """The request was understood and is refused."""

    code = "refused"
    exit_code = 1


class NotFound(Refused):
    """The thing named does not exist."""

    code = "not_found"


class Conflict(Refused):
    """The request contradicts what is stored."""

    code = "conflict"


class DuplicateFace(Conflict):
    """The face is enrolled for another person, `person_id`; only some may learn whom."""

    code = "duplicate_face"

    def __init__(self, message: str, person_id: int) -> None:
        super().__init__(message)
        self.person_id = person_id


class Taken(Conflict):
    """Another one has this name."""

    code = "name_taken"


class PersonnelCodeTaken(Taken):
    """The personnel code belongs to another person."""

    code = "personnel_code_taken"


class EmailTaken(Taken):
    """The e-mail address belongs to another person."""

    code = "email_taken"


class CardTaken(Conflict):
    """The card belongs to somebody already."""

    code = "card_taken"


class InUse(Conflict):
    """Something else needs the thing that is to be removed."""

    code = "in_use"


class PinExists(Conflict):
    """The person has a PIN already; there is one at most."""

    code = "pin_exists"


class RequestsWaiting(Conflict):
    """As many requests of the person as there may be wait for an answer already."""

    code = "requests_waiting"


class LimitReached(Conflict):
    """There are as many of a kind as there may be."""

    code = "limit_reached"


class PasskeysFull(Conflict):
    """The account has as many passkeys as it may have."""

    code = "too_many_passkeys"


class CompanyAccount(Conflict):
    """The account signs in at the company's provider, and by no means of the gate."""

    code = "company_account"


class SettingsOnTrial(Conflict):
    """The gate is trying other settings at this moment."""

    code = "settings_on_trial"


class LastDayOver(Conflict):
    """The person's last day has passed."""

    code = "last_day_over"


class EditWaits(Conflict):
    """An earlier edit, on which this one builds, has to be decided first."""

    code = "edit_waits"


class LastAdmin(Conflict):
    """Nobody else could sign in as an administrator."""

    code = "last_admin"


class AlreadyDone(Conflict):
    """It was corrected, answered or acknowledged before, or is there already."""

    code = "already_done"


class DoorShut(Conflict):
    """The mode of the door lets nobody open it."""

    code = "door_shut"


class ModeEndRefused(Conflict):
    """A mode of the door cannot end at this time."""

    code = "mode_end"


class NoSpace(Conflict):
    """The disk has no room for what was asked for."""

    code = "no_space"


class NoGate(Conflict):
    """This needs a camera and a door, which a hub has not."""

    code = "no_gate"


class NoCardReader(Conflict):
    """The gate has no card reader."""

    code = "no_card_reader"


class NoCardCame(NotFound):
    """No card was held to the reader in time."""

    code = "no_card_came"


class NotJoined(Conflict):
    """This is no gate that has joined, or it was revoked."""

    code = "not_joined"


class SnapshotNeeded(Conflict):
    """The cursor is too old, or of another feed: begin with /api/sync/snapshot."""

    code = "snapshot_needed"


class BelongsToHub(Conflict):
    """A thing that the hub has given to this gate is changed there and nowhere else."""

    code = "belongs_to_hub"

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} came from the hub: change it there (`gated sync status` names it)"
        )


class ChangedMeanwhile(Conflict):
    """The thing is not any more what the caller has read."""

    code = "changed_meanwhile"


class EditConflict(Conflict):
    """An edit contradicts what came after the version that its gate knew; a person decides."""

    code = "edit_conflict"


class ConsentMissing(Conflict):
    """The person has not agreed to the processing of biometric data, or not any more."""

    code = "consent_required"


class PasskeyUnusable(Conflict):
    """The answer of a browser makes no passkey for this gate, or comes too late."""

    code = "passkey_unusable"


class RetentionHold(Conflict):
    """The law wants the record kept until `until`."""

    code = "retention_hold"

    def __init__(self, message: str, until: datetime) -> None:
        super().__init__(message)
        self.until = until


class ClockDoubtful(Conflict):
    """Nothing that cannot be undone may follow from a clock that is not known to be right."""

    code = "clock_doubtful"


class NotAllowed(Refused):
    """The caller may not do this."""

    code = "forbidden"


class ConfirmationNeeded(NotAllowed):
    """The act needs the password again, or a token that is fresh."""

    code = "confirmation_required"


class CsrfMissing(NotAllowed):
    """A browser's session asks for a change without the token that its own page knows."""

    code = "csrf"


class ForeignOrigin(NotAllowed):
    """A page of another site asks for a browser's session here."""

    code = "foreign_origin"


class SettingsRefused(Refused):
    """A hub cannot give these settings; `problems` says of each key why."""

    code = "settings_refused"

    def __init__(self, problems: Mapping[str, Broken]) -> None:
        super().__init__("\n".join(f"{key}: {why.detail}" for key, why in problems.items()))
        self.problems = problems


class WeakPassword(Refused):
    """The password is too easy to guess."""

    code = "weak_password"


class NamedRefusal(Refused):
    """A value is refused by a rule that has a name."""

    def __init__(self, message: str, rule: str | None = None, limit: str | None = None) -> None:
        super().__init__(message)
        self.named(rule, limit)


class CardRefused(NamedRefusal):
    """The number cannot be that of a card here, or is too easy."""

    code = "card_refused"
    at = "body.number"


class TextRefused(Refused, ValueError):
    """A name or code holds a character that nobody sees, or that turns the direction of writing."""

    code = "text_refused"


class UnknownParameter(Refused):
    """The query names a parameter that the route does not have.

    meant: what of `known` each unknown name may stand for, empty where nothing is like it.
    """

    code = "unknown_parameter"

    def __init__(self, meant: Mapping[str, str], known: Sequence[str]) -> None:
        self.problems = {name: _did_you_mean(near, known) for name, near in meant.items()}
        super().__init__("; ".join(f"{name!a}: {why}" for name, why in self.problems.items()))


def _did_you_mean(near: str, known: Sequence[str]) -> str:
    if near:
        return f"there is no such parameter: did you mean `{near}`?"
    if not known:
        return "there is no such parameter: this route has none"
    return f"there is no such parameter: there are {', '.join(known)}"


class RuleMisfit(NamedRefusal):
    """This gate could not keep the rule that it is given."""

    code = "rule_misfit"
    at = "body.anti_passback"


class Busy(Refused):
    """Too much of this is going on; try again after `retry_after` seconds."""

    code = "busy"

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class NotSignedIn(Refused):
    """No token, or one that is void."""

    code = "not_signed_in"


class BadCredentials(NotSignedIn):
    """Name or password is wrong, or the account may not sign in; never says which."""

    code = "bad_credentials"


class PasskeyRefused(NotSignedIn):
    """The passkey is not known here, or what it signed does not count; never says which."""

    code = "passkey_refused"


class SignInAgain(NotSignedIn):
    """The session has no key to sign with any more, as after a restart."""

    code = "sign_in_again"


class BadSignature(NotSignedIn):
    """The request was not signed with the key of the gate it names."""

    code = "bad_signature"


class ClockSkew(BadSignature):
    """The request was signed at another time than now; `now` is the hub's, in seconds."""

    code = "clock_skew"

    def __init__(self, now: int) -> None:
        super().__init__("the request was signed at another time: use the hub's")
        self.now = now


class Revoked(NotSignedIn):
    """The credentials of a gate are void here: it was revoked, replaced, or is not known."""

    code = "revoked"


class SignInRefused(NotSignedIn):
    """Nobody is signed in: the company's provider knows them not, or gives them no role."""

    code = "sign_in_refused"


class ProviderFailed(GatedError):
    """The company's identity provider does not answer, or not as the standard says."""

    code = "provider_failed"


class Throttled(NotSignedIn):
    """Too many attempts to sign in; try again after `retry_after` seconds."""

    code = "throttled"

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"too many attempts: try again in {retry_after:.0f} s")
        self.retry_after = retry_after


class TooMany(Refused):
    """Somebody does this too often; try again after `retry_after` seconds."""

    code = "too_many"

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"too often: try again in {retry_after:.0f} s")
        self.retry_after = retry_after


class EnrollmentRefused(Refused):
    """A photo cannot be enrolled.

    `reason` is one of the contract's codes (`no_face`, `multiple_faces`, `face_too_small`, ...),
    `measured` the values that led to it.
    """

    code = "enrollment_refused"

    def __init__(
        self, reason: str, advice: str, measured: Mapping[str, float] | None = None
    ) -> None:
        super().__init__(advice)
        self.reason = reason
        self.advice = advice
        self.measured: dict[str, float] = dict(measured or {})


class NoPicture(EnrollmentRefused):
    """By its content the file is none of the kinds of picture that are read."""


class PictureTooLarge(EnrollmentRefused):
    """The file has too many bytes or pixels; it was not decoded."""

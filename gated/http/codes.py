"""Meanings of the codes of problems and their remedies, for clients and `docs/codes.md`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Code:
    """One code: the statuses that it comes with, what happened, and what to do about it."""

    code: str
    statuses: Sequence[int]
    means: str
    remedy: str


def _codes() -> Iterator[Code]:
    for code, (statuses, means, remedy) in _REQUEST.items():
        yield Code(code, statuses, means, remedy)
    for status, found in _BY_STATUS.items():
        for code, (means, remedy) in found.items():
            yield Code(code, (status,), means, remedy)
    for code, (statuses, means, remedy) in _PHOTOS.items():
        yield Code(code, statuses, means, remedy)


_REQUEST: Mapping[str, tuple[Sequence[int], str, str]] = {
    "malformed": (
        (400,),
        "The request cannot be read.",
        "Send JSON, or the form that is described.",
    ),
    "not_found": ((404,), "There is no such thing, or no such address.", "Read the list again."),
    "no_card_came": ((404,), "No card was held to the reader in time.", "Ask again."),
    "method_not_allowed": (
        (405,),
        "The address has no such method.",
        "`Allow` names those it has.",
    ),
    "timeout": ((408,), "The body did not arrive in time.", "Send it again over a faster line."),
    "too_large": ((413,), "The body has too many bytes or values.", "Send less at a time."),
    "unsupported_media_type": (
        (415,),
        "A body of this type is not read.",
        "Send the type that is described.",
    ),
    "wrong_host": (
        (421,),
        "The request names another machine.",
        "Use the gate's own name, or add yours to `api.allowed_hosts`.",
    ),
    "too_many": ((429,), "Too many requests or acts.", "Wait for `Retry-After` seconds."),
    "internal": (
        (500,),
        "A mistake of the program.",
        "Look for `X-Request-ID` in the log, and report it.",
    ),
    "provider_failed": (
        (502,),
        "The company's sign-in does not answer, or not as it should.",
        "Use a password, or try again later.",
    ),
    "unavailable": ((503,), "The gate cannot do this now.", "Try again later."),
}

_UNKNOWN = {
    "not_signed_in": ("No token, or one that is void.", "Sign in."),
    "bad_credentials": (
        "Name or password is wrong, or the account is off.",
        "Ask again; never which.",
    ),
    "passkey_refused": (
        "The passkey is not known here, or what it signed does not count.",
        "Use the password; a passkey works at `passkeys.domain` only.",
    ),
    "sign_in_refused": (
        "The company's provider knows nobody, or gives no role here.",
        "The program's log says why; `oidc.roles` gives roles.",
    ),
    "sign_in_again": ("The session's key is gone, as after a restart.", "Sign in again."),
    "revoked": ("The gate was revoked or replaced, or is not known.", "Let the gate join again."),
    "bad_signature": ("The request is not signed with the gate's key.", "Let the gate join again."),
    "clock_skew": ("The request was signed at another time.", "Sign with the hub's time, `now`."),
}
_FORBIDDEN = {
    "forbidden": ("The role does not include this.", "Ask somebody who may."),
    "confirmation_required": (
        "The act needs a fresh token or the password.",
        "Sign in anew, or send `password` where there is such a field.",
    ),
    "csrf": ("A change by a cookie came without the page's token.", "Send `X-CSRF-Token`."),
    "foreign_origin": ("Another site's page asks for a session here.", "Use a bearer token there."),
}
_CONFLICTS = {
    "conflict": ("It contradicts what is stored; `detail` says why.", "Read again, then decide."),
    "personnel_code_taken": (
        "Another person has this code.",
        "Use another, or change that person.",
    ),
    "email_taken": ("Another person has this address.", "Use another, or change that person."),
    "name_taken": ("Account, group, schedule or gate: there is one.", "Take another name."),
    "card_taken": ("The card belongs to somebody.", "`POST /api/credentials/owner` says to whom."),
    "in_use": ("Something else needs what is to be removed.", "Change what `detail` names first."),
    "pin_exists": ("The person has a PIN.", "Remove it first."),
    "requests_waiting": (
        "Too many requests of this person wait for an answer.",
        "Wait until some are answered.",
    ),
    "limit_reached": (
        "There are as many of these as there may be; `detail` says how many.",
        "Remove some that nobody needs.",
    ),
    "too_many_passkeys": ("The account has as many as it may.", "Remove one first."),
    "company_account": (
        "The account signs in with the company's account.",
        "Change it at the company's provider.",
    ),
    "settings_on_trial": ("The gate is trying other settings.", "Wait for a minute."),
    "last_day_over": ("The person's last day has passed.", "Change `leaves_on` first."),
    "edit_waits": ("An earlier edit comes before this one.", "Decide on that first."),
    "last_admin": ("Nobody else could administer.", "Make another administrator first."),
    "already_done": ("Corrected, answered, acknowledged or there before.", "Read it again."),
    "door_shut": ("The door's mode lets nobody open it.", "Change the mode first."),
    "mode_end": (
        "A mode of the door cannot end at this time.",
        "Give a time in the future, within a year.",
    ),
    "no_space": (
        "The disk of the gate has no room for it.",
        "Make room, or write the backup to another disk with `gated backup`.",
    ),
    "duplicate_face": (
        "The face is enrolled for another person, `person_id`.",
        "Look at that person; an administrator may override with a reason.",
    ),
    "no_gate": ("A hub has no camera and no door.", "Ask the gate itself."),
    "no_card_reader": ("The gate has no card reader.", "Type the number of the card."),
    "not_joined": (
        "This is no gate of the hub, or not any more.",
        "Invite the gate and let it join.",
    ),
    "snapshot_needed": ("The cursor is too old, or of another feed.", "Begin with the snapshot."),
    "belongs_to_hub": ("The thing came from the hub.", "Change it there."),
    "edit_conflict": (
        "The person was changed on the hub since.",
        "Look at both; accept with `anyway`.",
    ),
    "consent_required": ("The person has not consented, or withdrew.", "Record the consent first."),
    "passkey_unusable": (
        "What the browser made is no passkey for here, or came too late.",
        "Open the pages at `passkeys.domain` and begin again.",
    ),
    "retention_hold": (
        "The law wants the record kept for now.",
        "Wait, or override it as an administrator with a reason.",
    ),
    "clock_doubtful": (
        "The clock is in doubt, and the act cannot be undone.",
        "Confirm the clock.",
    ),
}
_CHANGED = {
    "changed_meanwhile": ("It is not what `If-Match` names.", "Read it again, then change it.")
}
_REFUSED = {
    "invalid": ("A value does not fit; `errors` name places and rules.", "Mend these values."),
    "unknown_parameter": ("The route has no such parameter.", "`errors` say what may be meant."),
    "settings_refused": ("These settings cannot be used.", "`errors` say of each key why."),
    "card_refused": (
        "No number of a card here, or too easy a PIN.",
        "`gated cards` says what is taken.",
    ),
    "weak_password": ("The password is too easy to guess.", "Take a longer one."),
    "text_refused": ("A text holds a character that nobody sees.", "Type it anew."),
    "rule_misfit": ("The gate could not keep such a rule.", "`detail` says what it lacks."),
}
_THROTTLED = {
    "throttled": ("Too many attempts to sign in.", "Wait for `Retry-After` seconds."),
}
_AWAY = {
    "busy": ("Too much of this is going on.", "Wait for `Retry-After` seconds."),
    "storage": ("The database or a file cannot be used.", "`gated doctor` says why."),
    "schema_too_new": ("A newer program wrote the database.", "Install that version again."),
    "seal": ("A sealed file is damaged, or its key is another.", "Restore it, or enroll anew."),
    "state_locked": ("Another program uses the state.", "End that program."),
    "not_owner": ("The state belongs to another user.", "Run as the service's user."),
    "assets": ("The models are missing.", "`gated assets install`."),
    "device": ("Camera or door cannot be used.", "Look at cables and power; `gated doctor`."),
    "gate_unavailable": ("The door process does not answer.", "It is started again: try later."),
}
_BY_STATUS: Mapping[int, Mapping[str, tuple[str, str]]] = {
    401: _UNKNOWN,
    403: _FORBIDDEN,
    409: _CONFLICTS,
    412: _CHANGED,
    422: _REFUSED,
    429: _THROTTLED,
    503: _AWAY,
}

_PHOTO = (422,)
_PHOTOS: Mapping[str, tuple[Sequence[int], str, str]] = {
    "no_face": (_PHOTO, "No face was found.", "Take one from the front, uncovered."),
    "multiple_faces": (_PHOTO, "There are several faces.", "Show the person alone."),
    "face_too_small": (_PHOTO, "The face is too small.", "Take one from nearer."),
    "too_blurry": (_PHOTO, "The face is blurred.", "Hold still, clean the lens, use more light."),
    "too_dark": (_PHOTO, "The face is too dark.", "Turn it to the light."),
    "too_bright": (_PHOTO, "The face is too bright.", "Avoid direct light and flash."),
    "extreme_pose": (_PHOTO, "The head is turned too far.", "Look straight into the camera."),
    "occluded": (_PHOTO, "Something covers mouth or eyes.", "Take off mask and sunglasses."),
    "not_same_person": (_PHOTO, "It does not match the other photos.", "See whose photo it is."),
    "no_good_frame": (
        _PHOTO,
        "The gate's camera saw no good face in time.",
        "Try again in good light.",
    ),
    "other_model": (_PHOTO, "The encoding is another engine's.", "Use `vision.engine: dlib`."),
    "unreadable_image": (
        (413, 415, 422),
        "The file is no picture of a kind that is read, is damaged or too large.",
        "Send a JPEG, PNG, BMP or TIFF within the limits.",
    ),
}

CODES: Mapping[str, Code] = {found.code: found for found in _codes()}
"""Code -> what it means; all that the API answers with."""

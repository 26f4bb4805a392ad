"""The tables, for SQLite and PostgreSQL alike; `migrations` brings a database to this shape."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Boolean, Column, Double, ForeignKey, Index, Integer, Table, Text

from gated.core import chain
from gated.core.text import code_key, search_key, sort_key
from gated.errors import Unreadable

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

UNREADABLE = "the database holds what cannot be read: see what `gated journal verify` names"

# SQLite's AUTOINCREMENT works on INTEGER only, which holds 64 bits there
BigInt = sa.BigInteger().with_variant(Integer(), "sqlite")


# sorted by code point on either engine: the keys are made for that
Key = Text().with_variant(Text(collation="C"), "postgresql")


def _only_where(condition: str) -> dict[str, Any]:
    """Return what makes an index hold the rows of a condition only.

    On PostgreSQL the migrations alone say so: its own keyword would load its dialect into every
    process, also where the database is SQLite.
    """
    return {"sqlite_where": sa.text(condition)}


def _from(column: str, key: Callable[[str], str]) -> Callable[[Any], str | None]:
    """The default of a column that follows from another one of the row."""

    def derived(context: Any) -> str | None:
        value = context.get_current_parameters().get(column)
        return None if value is None else key(value)

    return derived


def _or_unreadable(process: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Read a value of a column; SQLite keeps whatever somebody puts there. Raises: Unreadable."""

    def read(value: Any) -> Any:
        try:
            return process(value)
        except (ValueError, TypeError) as error:
            raise Unreadable(UNREADABLE) from error

    return read


def _json(value: Any) -> Any:
    # a bare number comes back as one: SQLite gives a column of JSON the affinity of numbers
    return value if isinstance(value, int | float) else json.loads(value)


read_json = _or_unreadable(_json)
"""Read JSON as it is stored. Raises: Unreadable."""


class UtcDateTime(sa.types.TypeDecorator[datetime]):
    """Aware datetimes in, aware UTC datetimes out; SQLite has no zones of its own."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a datetime without zone cannot be stored")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)

    def result_processor(
        self, dialect: Any, coltype: Any
    ) -> Callable[[Any], datetime | None] | None:
        process = super().result_processor(dialect, coltype)
        return process if dialect.name != "sqlite" or process is None else _or_unreadable(process)


def new_uid() -> str:
    """A fresh UUID of version 7."""
    return chain.uuid7(time.time_ns() // 1_000_000, secrets.token_bytes(10))


def utcnow() -> datetime:
    """The present time, aware UTC."""
    return datetime.now(UTC)


def _aggregate(name: str, *columns: Any) -> Table:
    """A table with integer id (never reused), uid and the two times."""
    return Table(
        name,
        metadata,
        Column("id", BigInt, primary_key=True, autoincrement=True),
        Column("uid", Text, nullable=False, unique=True, default=new_uid),
        *columns,
        Column("version", Integer, nullable=False, default=1),
        Column("created_at", UtcDateTime, nullable=False, default=utcnow),
        Column("updated_at", UtcDateTime, nullable=False, default=utcnow),
        sqlite_autoincrement=True,
    )


persons = _aggregate(
    "persons",
    Column("first_name", Text, nullable=False),
    Column("last_name", Text, nullable=False),
    Column("personnel_code", Text, nullable=False, unique=True),
    Column("department", Text, index=True),
    Column("position", Text),
    Column("email", Text),
    Column("email_key", Text, unique=True),
    Column("phone", Text),
    Column("is_active", Boolean, nullable=False, default=True),
    Column("search", Text, nullable=False),
    Column("leaves_on", sa.Date, index=True),
    Column("extended_unlock", Boolean, nullable=False, default=False),
    # by which codes are compared; of two that were there before they were, one has a key apart
    Column("code_key", Key, default=_from("personnel_code", code_key)),
    Column("first_name_key", Key, default=_from("first_name", sort_key)),
    Column("last_name_key", Key, default=_from("last_name", sort_key)),
    Column("department_key", Key, index=True, default=_from("department", sort_key)),
    Index(None, "code_key", unique=True),
)

groups = _aggregate(
    "groups",
    Column("name", Text, nullable=False),
    Column("name_key", Text, nullable=False, unique=True),
    Column("description", Text),
    Column("planned_hours", Double),
    Column("late_after", Text, comment="HH:MM by the clock at the gate"),
)

group_members = Table(
    "group_members",
    metadata,
    Column("group_id", BigInt, ForeignKey("groups.id"), primary_key=True),
    Column("person_id", BigInt, ForeignKey("persons.id"), primary_key=True, index=True),
    sqlite_with_rowid=False,
)

directory_people = Table(
    "directory_people",
    metadata,
    # by which a directory knows somebody; stays where the directory writes
    Column("person_id", BigInt, ForeignKey("persons.id"), primary_key=True),
    Column("user_name", Text, nullable=False),
    Column("user_name_key", Text, nullable=False, unique=True),
    Column("external_id", Text, index=True),
    Column("employee_number", Text, index=True),
    sqlite_with_rowid=False,
)

directory_groups = Table(
    "directory_groups",
    metadata,
    Column("group_id", BigInt, ForeignKey("groups.id"), primary_key=True),
    Column("external_id", Text, nullable=False, index=True),
    sqlite_with_rowid=False,
)

consents = _aggregate(
    "consents",
    Column("person_id", BigInt, ForeignKey("persons.id"), nullable=False, unique=True),
    Column("notice_version", Text, nullable=False),
    Column("given_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime),
    Column("method", Text, nullable=False),
)

enrollments = _aggregate(
    "enrollments",
    Column("person_id", BigInt, ForeignKey("persons.id"), nullable=False, index=True),
    Column("face_encoding_path", Text),
    Column("face_image_path", Text),
    Column("confidence_score", Double, nullable=False),
    Column("is_active", Boolean, nullable=False, default=True),
    Column("model", Text),
    Column("quality", sa.JSON, nullable=False, default=dict),
    Column("image_sha256", Text),
)

accounts = _aggregate(
    "accounts",
    Column("username", Text, nullable=False),
    Column("username_key", Text, nullable=False, unique=True),
    Column("role", Text, nullable=False),
    Column("password_hash", Text, nullable=False),
    # of a device's token, which is random and long: a plain digest finds it
    Column("token_digest", Text, unique=True),
    Column("person_id", BigInt, ForeignKey("persons.id"), index=True),
    Column("is_active", Boolean, nullable=False, default=True),
    Column("last_seen_at", UtcDateTime, comment="of a screen that holds a token"),
)

identities = Table(
    "identities",
    metadata,
    # whom an identity provider means; of accounts that sign in there
    Column("account_id", BigInt, ForeignKey("accounts.id"), primary_key=True),
    Column("issuer", Text, nullable=False),
    Column("subject", Text, nullable=False),
    sa.UniqueConstraint("issuer", "subject"),
    sqlite_with_rowid=False,
)

passkeys = _aggregate(
    "passkeys",
    # what somebody may sign in with beside the password (WebAuthn); of this database alone
    Column("account_id", BigInt, ForeignKey("accounts.id"), nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("credential_id", Text, nullable=False, unique=True, comment="base64url"),
    # random, the same for all of an account: authenticators keep it, and it tells nobody whose
    Column("user_handle", Text, nullable=False, comment="base64url"),
    Column("public_key", Text, nullable=False, comment="COSE key, base64url"),
    Column("sign_count", BigInt, nullable=False),
    Column("last_used_at", UtcDateTime),
)

spent_challenges = Table(
    "spent_challenges",
    metadata,
    # of passkeys: what was signed once counts no second time
    Column("digest", Text, primary_key=True),
    Column("expires_at", UtcDateTime, nullable=False, index=True),
)

editors = Table(
    "editors",
    metadata,
    Column("account_id", BigInt, ForeignKey("accounts.id"), primary_key=True),
    # may edit everybody whom the gate carries, not only the people of the groups
    Column("everyone", Boolean, nullable=False),
    # of the key that follows from the password; null until the next sign-in on the hub
    Column("salt", Text),
    Column("public_key", Text, comment="Ed25519, hex"),
    # on a gate: given by the hub, and whether edits work here before the hub accepts them
    Column("from_hub", Boolean, nullable=False),
    Column("at_once", Boolean, nullable=False),
    sqlite_with_rowid=False,
)

editor_groups = Table(
    "editor_groups",
    metadata,
    Column("account_id", BigInt, ForeignKey("editors.account_id"), primary_key=True),
    Column("group_id", BigInt, ForeignKey("groups.id"), primary_key=True, index=True),
    sqlite_with_rowid=False,
)

schedules = _aggregate(
    "schedules",
    Column("name", Text, nullable=False),
    Column("name_key", Text, nullable=False, unique=True),
    # seven lists of hours such as 08:00-17:00, Monday first
    Column("week", sa.JSON, nullable=False),
    # null where a holiday is a day like others
    Column("holiday", sa.JSON(none_as_null=True)),
)

schedule_exceptions = Table(
    "schedule_exceptions",
    metadata,
    Column("schedule_id", BigInt, ForeignKey("schedules.id"), primary_key=True),
    Column("day", sa.Date, primary_key=True),
    Column("hours", sa.JSON, nullable=False),
    sqlite_with_rowid=False,
)

sites = _aggregate(
    "sites",
    # empty: all sites
    Column("name", Text, nullable=False, unique=True),
    Column("name_key", Key, default=_from("name", code_key)),
    Index(None, "name_key", unique=True),
    # what differs from the rules of all sites, or from what is usual
    Column("rules", sa.JSON, nullable=False),
    # IANA name; null: that of all sites
    Column("timezone", Text),
)

holidays = Table(
    "holidays",
    metadata,
    Column("site_id", BigInt, ForeignKey("sites.id"), primary_key=True),
    Column("day", sa.Date, primary_key=True),
    Column("name", Text, nullable=False),
    sqlite_with_rowid=False,
)

group_rules = Table(
    "group_rules",
    metadata,
    Column("id", BigInt, primary_key=True, autoincrement=True),
    Column("group_id", BigInt, ForeignKey("groups.id"), nullable=False, index=True),
    # null: at every gate of the site
    Column("gate", Text),
    # null: at any time
    Column("schedule_id", BigInt, ForeignKey("schedules.id"), index=True),
    sqlite_autoincrement=True,
)

person_access = _aggregate(
    "person_access",
    Column("person_id", BigInt, ForeignKey("persons.id"), nullable=False, unique=True),
    Column("valid_from", UtcDateTime),
    Column("valid_until", UtcDateTime),
    Column("visitor", Boolean, nullable=False),
    Column("face", Boolean, nullable=False),
    Column("two_factors", Boolean, nullable=False),
    Column("needs_escort", Boolean, nullable=False),
    Column("may_escort", Boolean, nullable=False),
    Column("exempt", Boolean, nullable=False),
)

credentials = _aggregate(
    "credentials",
    Column("person_id", BigInt, ForeignKey("persons.id"), nullable=False, index=True),
    Column("kind", Text, nullable=False),
    Column("label", Text),
    # the hub gave it, made with its keys and not with those of this machine
    Column("from_hub", Boolean, nullable=False, default=False),
    # with how many keys, each over what the one before has made
    Column("key_count", Integer, nullable=False, default=1),
    # of a card or a badge: a keyed digest, by which it is found
    Column("digest", Text, unique=True),
    # of a PIN: slow to try, and never looked for
    Column("pin_hash", Text),
    # wrong PINs since the last right one; kept, so that pulling the plug does not forgive them
    Column("failures", Integer, nullable=False, default=0),
    Column("is_active", Boolean, nullable=False, default=True),
    Column("valid_from", UtcDateTime),
    Column("valid_until", UtcDateTime),
)

attendance_logs = Table(
    "attendance_logs",
    metadata,
    Column("id", BigInt, primary_key=True, autoincrement=True),
    Column("uid", Text, nullable=False, unique=True),
    Column("person_id", BigInt, ForeignKey("persons.id")),
    Column("gate_name", Text, nullable=False),
    Column("direction", Text, nullable=False),
    Column("confidence_score", Double, nullable=False),
    Column("camera_name", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("reason", Text, nullable=False),
    Column("method", Text, nullable=False),
    Column("rule", Text),
    Column("site", Text, nullable=False),
    Column("visit", BigInt),
    Column("visit_uid", Text),
    Column("score", Double),
    Column("threshold", Double),
    Column("margin", Double),
    Column("frames", Integer, nullable=False),
    Column("pad", Double),
    Column("flags", sa.JSON, nullable=False),
    Column("sight_to_decision_ms", Double),
    Column("usable_to_decision_ms", Double),
    Column("chain", Text, nullable=False),
    Column("seq", BigInt, nullable=False),
    Column("recorded_at", UtcDateTime, nullable=False),
    Column("superseded_by", BigInt, ForeignKey("attendance_logs.id")),
    # of the gate, IANA name; null: of a row from before rows said so, it is that of the site
    Column("timezone", Text),
    sa.UniqueConstraint("chain", "seq"),
    Index(None, "created_at", "id"),
    Index(None, "person_id", "created_at", "id"),
    Index(None, "gate_name", "created_at", "id"),
    # a gate of one direction has no row of the other: it must not be searched for them
    Index(None, "gate_name", "direction", "created_at", "id"),
    # what follows the id lets rows that fail another filter be passed over in the index alone
    Index(None, "status", "created_at", "id", "gate_name", "direction"),
    Index(None, "direction", "created_at", "id"),
    Index(
        None,
        "superseded_by",
        **_only_where("superseded_by IS NOT NULL"),
    ),
    sqlite_autoincrement=True,
)

correction_requests = _aggregate(
    "correction_requests",
    Column("person_id", BigInt, ForeignKey("persons.id"), nullable=False, index=True),
    # the row that is wrong; none for a passage that was not seen
    Column("attendance_id", BigInt, ForeignKey("attendance_logs.id")),
    Column("passed_at", UtcDateTime),
    Column("direction", Text),
    Column("status", Text),
    Column("reason", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("answer", Text),
    Column("result_id", BigInt, ForeignKey("attendance_logs.id")),
    Index(None, "state", "id"),
)

snapshots = _aggregate(
    "snapshots",
    # in whose name an attack was made; a stranger's has none
    Column("person_id", BigInt, ForeignKey("persons.id"), index=True),
    Column("reason", Text, nullable=False),
    Column("gate_name", Text, nullable=False),
    Column("visit", Integer, nullable=False),
    Column("pad", Double),
    Column("path", Text, nullable=False),
    Column("taken_at", UtcDateTime, nullable=False, index=True),
)

ended_sessions = Table(
    "ended_sessions",
    metadata,
    Column("token_id", Text, primary_key=True),
    Column("expires_at", UtcDateTime, nullable=False, index=True),
)

alarms = Table(
    "alarms",
    metadata,
    Column("id", BigInt, primary_key=True, autoincrement=True),
    Column("kind", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("detail", sa.JSON, nullable=False),
    Column("raised_at", UtcDateTime, nullable=False),
    Column("last_at", UtcDateTime, nullable=False, index=True),
    Column("count", Integer, nullable=False),
    Column("acknowledged_at", UtcDateTime),
    Column("chain", Text, comment="of the row that tells who acknowledged it"),
    Column("seq", BigInt),
    # one of each kind stands
    Index(
        None,
        "kind",
        unique=True,
        **_only_where("acknowledged_at IS NULL"),
    ),
    sqlite_autoincrement=True,
)

settings = Table(
    "settings",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", sa.JSON, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False, default=utcnow, onupdate=utcnow),
)

AUDITED = "kind <> 'decision'"
"""Which rows of the journal can tell of an act; word for word as an index wants it."""

journal = Table(
    "journal",
    metadata,
    Column("chain", Text, primary_key=True),
    Column("seq", BigInt, primary_key=True, autoincrement=False),
    Column("at_utc", BigInt, nullable=False, comment="microseconds since 1970"),
    Column("boot_id", Text, nullable=False),
    Column("mono_ns", BigInt, nullable=False),
    Column("clock_ok", Boolean, nullable=False),
    Column("kind", Text, nullable=False),
    Column("body", Text, nullable=False, comment="canonical JSON without personal data"),
    Column("commits", Text, nullable=False, comment="canonical JSON, role to commitment"),
    Column("prev", Text, nullable=False),
    Column("hash", Text, nullable=False),
    Index(None, "kind", "chain", "seq"),
    # the few rows that tell of acts, among the many that tell of passages
    Index(
        "ix_journal_audited",
        "at_utc",
        "chain",
        "seq",
        **_only_where(AUDITED),
    ),
    sqlite_with_rowid=False,
)

journal_private = Table(
    "journal_private",
    metadata,
    Column("chain", Text, primary_key=True),
    Column("seq", BigInt, primary_key=True, autoincrement=False),
    Column("role", Text, primary_key=True),
    Column("salt", Text, nullable=False),
    Column("payload", Text, nullable=False, comment="canonical JSON"),
    # whom the payload speaks of, so that an erasure finds it
    Column("uid", Text, index=True),
    sqlite_with_rowid=False,
)

journal_seal = Table(
    "journal_seal",
    metadata,
    Column("chain", Text, primary_key=True),
    Column("seq", BigInt, primary_key=True, autoincrement=False),
    Column("hash", Text, nullable=False),
    Column("signature", Text, nullable=False, comment="Ed25519, hex"),
    sqlite_with_rowid=False,
)

gates = _aggregate(
    "gates",
    Column("name", Text, nullable=False),
    Column("name_key", Text, nullable=False, unique=True),
    Column("site", Text, nullable=False),
    # carries everybody, not only the people of its groups
    Column("everyone", Boolean, nullable=False, default=False),
    # may hold reference photos, from which another model makes templates of its own
    Column("photos", Boolean, nullable=False, default=False),
    # what operators may do there: none, pending, at_once
    Column("edits", Text, nullable=False, default="none"),
    Column("account_id", BigInt, ForeignKey("accounts.id"), unique=True),
    Column("device", Text, unique=True, comment="uid of the journal of the present hardware"),
    Column("sign_key", Text, comment="Ed25519, public, hex"),
    Column("seal_key", Text, comment="X25519, public, hex"),
    Column("journal_key", Text, comment="Ed25519, public, hex"),
    Column("invite", Text, unique=True, comment="names the open invitation"),
    Column("invite_key", Text, comment="proves that somebody knows its code"),
    Column("invite_until", UtcDateTime),
    Column("joined_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
    Column("seen_at", UtcDateTime),
    Column("model", Text),
    Column("status", sa.JSON, nullable=False, default=dict),
    # it reported alarms or problems
    Column("troubled", Boolean, nullable=False, default=False),
    # what the gate was given began anew so often; a cursor of another number is void
    Column("feed", Integer, nullable=False, default=1),
    Column("cursor", BigInt, nullable=False, default=0, comment="applied by the gate"),
    Column("search", Key, default=_from("name", search_key)),
)

gate_groups = Table(
    "gate_groups",
    metadata,
    Column("gate_id", BigInt, ForeignKey("gates.id"), primary_key=True),
    Column("group_id", BigInt, ForeignKey("groups.id"), primary_key=True, index=True),
    sqlite_with_rowid=False,
)

configurations = _aggregate(
    "configurations",
    Column("settings", sa.JSON, nullable=False, comment="section to key to value"),
    Column("note", Text),
)

rollouts = _aggregate(
    "rollouts",
    Column("configuration_id", BigInt, ForeignKey("configurations.id"), nullable=False),
    Column("stages", sa.JSON, nullable=False),
    Column("soak_s", Double, nullable=False),
    Column("automatic", Boolean, nullable=False),
    Column("stage", Integer, nullable=False, default=0, comment="the present one, from 0"),
    Column("state", Text, nullable=False, index=True),
    Column("reason", Text),
    # the row of the journal that says who began it
    Column("chain", Text),
    Column("seq", BigInt),
)

given_settings = Table(
    "given_settings",
    metadata,
    Column("gate_id", BigInt, ForeignKey("gates.id"), primary_key=True),
    Column("uid", Text, nullable=False, comment="of this giving"),
    Column("rollout_id", BigInt, ForeignKey("rollouts.id"), nullable=False, index=True),
    Column("stage", Integer, nullable=False),
    # null: none, the file of the gate alone
    Column("configuration_id", BigInt, ForeignKey("configurations.id")),
    Column("before_id", BigInt, ForeignKey("configurations.id")),
    Column("troubles", sa.JSON, nullable=False, comment="problems that the gate had before"),
    Column("heard", Boolean, nullable=False, comment="of the gate, when they were given"),
    Column("healthy_since", UtcDateTime),
    Column("silent_since", UtcDateTime),
    Column("flaw", Text, comment="why the gate does not count any more"),
    sqlite_with_rowid=False,
)

changes = Table(
    "changes",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("uid", Text, primary_key=True),
    Column("seq", BigInt, nullable=False, unique=True, comment="of the last change"),
    Column("gone", Boolean, nullable=False),
    Column("at", UtcDateTime, nullable=False, default=utcnow),
    sqlite_with_rowid=False,
)

erasures = Table(
    "erasures",
    metadata,
    Column("uid", Text, primary_key=True, comment="of a person"),
    Column("seq", BigInt, nullable=False, unique=True, comment="of the change that tells of it"),
    Column("at", UtcDateTime, nullable=False),
    # old, and confirmed by every gate that can: who did so is not kept any more
    Column("closed_at", UtcDateTime),
    Column("confirmed", Integer, comment="how many gates did, once closed"),
    Column(
        "missing", sa.JSON(none_as_null=True), comment="names of those that cannot, once closed"
    ),
    sqlite_with_rowid=False,
)

erasure_confirmations = Table(
    "erasure_confirmations",
    metadata,
    Column("uid", Text, ForeignKey("erasures.uid"), primary_key=True),
    Column("gate_id", BigInt, ForeignKey("gates.id"), primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    sqlite_with_rowid=False,
)

presence_sites = Table(
    "presence_sites",
    metadata,
    Column("site", Text, primary_key=True),
    Column("feed", Text, nullable=False, comment="names the sequence of numbers"),
    Column("seq", BigInt, nullable=False, comment="of the last change"),
    Column("asked_at", UtcDateTime, nullable=False),
    sqlite_with_rowid=False,
)

site_presence = Table(
    "site_presence",
    metadata,
    Column("site", Text, primary_key=True, comment="empty: as the hub of this gate told it"),
    Column("uid", Text, primary_key=True, index=True, comment="of a person; empty: everybody"),
    Column("seq", BigInt, nullable=False),
    Column("direction", Text),
    Column("utc", Double, comment="seconds since 1970"),
    Column("gate", Text),
    Column("device", Text, comment="uid of the journal that tells of it"),
    Column("forgiven_utc", Double),
    Index(None, "site", "seq"),
    sqlite_with_rowid=False,
)

sync_chains = Table(
    "sync_chains",
    metadata,
    Column("chain", Text, primary_key=True),
    Column("gate_id", BigInt, ForeignKey("gates.id"), nullable=False, index=True),
    Column("seq", BigInt, nullable=False, comment="acknowledged"),
    Column("hash", Text, nullable=False),
    sqlite_with_rowid=False,
)

sync_quarantine = Table(
    "sync_quarantine",
    metadata,
    Column("id", BigInt, primary_key=True, autoincrement=True),
    Column("gate_id", BigInt, ForeignKey("gates.id"), nullable=False, index=True),
    Column("chain", Text, nullable=False),
    Column("seq", BigInt, nullable=False),
    Column("digest", Text, nullable=False, comment="SHA-256 of the row, so that it is kept once"),
    Column("reason", Text, nullable=False),
    Column("row", Text, nullable=False, comment="canonical JSON, as it came"),
    Column("at", UtcDateTime, nullable=False),
    sa.UniqueConstraint("chain", "seq", "digest", "reason"),
    sqlite_autoincrement=True,
)

sync_quarantine_private = Table(
    "sync_quarantine_private",
    metadata,
    Column("quarantine_id", BigInt, ForeignKey("sync_quarantine.id"), primary_key=True),
    Column("role", Text, primary_key=True),
    Column("payload", Text, nullable=False, comment="canonical JSON"),
    # whom the payload speaks of, so that an erasure finds it
    Column("uid", Text, index=True),
    sqlite_with_rowid=False,
)

mirrored = Table(
    "mirrored",
    metadata,
    Column("kind", Text, primary_key=True, comment="of a thing that the hub has given"),
    Column("uid", Text, primary_key=True),
    Column("snapshot", Integer, nullable=False, comment="number of the one that last named them"),
    Column("version", BigInt, comment="of a person on the hub: number of the last change"),
    sqlite_with_rowid=False,
)

edge_edits = Table(
    "edge_edits",
    metadata,
    Column("id", BigInt, primary_key=True, autoincrement=True),
    Column("uid", Text, nullable=False, unique=True),
    Column("kind", Text, nullable=False),
    Column("person", Text, nullable=False, index=True, comment="uid"),
    Column("operator", Text, nullable=False, comment="name"),
    Column("made_at", UtcDateTime, nullable=False),
    # what it does here, as far as it must be done again after the hub has sent the person
    Column("effect", sa.JSON, nullable=False),
    Column("at_once", Boolean, nullable=False),
    # as it goes up, sealed for the hub; null once it is decided
    Column("wire", sa.JSON(none_as_null=True)),
    Column("state", Text, nullable=False, index=True),
    Column("reason", Text),
    Column("decided_at", UtcDateTime),
    sqlite_autoincrement=True,
)

fleet_edits = Table(
    "fleet_edits",
    metadata,
    Column("id", BigInt, primary_key=True, autoincrement=True),
    Column("uid", Text, nullable=False, unique=True),
    Column("gate_id", BigInt, ForeignKey("gates.id"), nullable=False, index=True),
    Column("kind", Text, nullable=False),
    Column("person", Text, nullable=False, index=True, comment="uid"),
    Column("base", BigInt, nullable=False, comment="version of the person that the gate had"),
    Column("after", Text, comment="uid of the edit of the same person before it"),
    Column("operator", Text, nullable=False, comment="uid of the account"),
    Column("made_at", UtcDateTime, nullable=False),
    Column("digest", Text, nullable=False, comment="SHA-256 of what was signed"),
    # as it came, sealed for the hub; null once it is decided
    Column("content", sa.JSON(none_as_null=True)),
    Column("received_at", UtcDateTime, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    Column("decided_by", Text),
    Column("decided_at", UtcDateTime),
    Column("result", BigInt, comment="version of the person after it"),
    Index(None, "state", "id"),
    sqlite_autoincrement=True,
)

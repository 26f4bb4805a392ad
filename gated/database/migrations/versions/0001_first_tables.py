"""The first tables: persons, enrollments, accounts, attendance, settings, journal."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy import Boolean, Column, Double, ForeignKey, Integer, Text

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

big = sa.BigInteger().with_variant(Integer(), "sqlite")
moment = sa.DateTime(timezone=True)


def _aggregate(name: str, *columns: Any) -> None:
    op.create_table(
        name,
        Column("id", big, primary_key=True, autoincrement=True),
        Column("uid", Text, nullable=False, unique=True),
        *columns,
        Column("version", Integer, nullable=False),
        Column("created_at", moment, nullable=False),
        Column("updated_at", moment, nullable=False),
        sqlite_autoincrement=True,
    )


def _persons_and_theirs() -> None:
    _aggregate(
        "persons",
        Column("first_name", Text, nullable=False),
        Column("last_name", Text, nullable=False),
        Column("personnel_code", Text, nullable=False, unique=True),
        Column("department", Text, index=True),
        Column("position", Text),
        Column("email", Text),
        Column("email_key", Text, unique=True),
        Column("phone", Text),
        Column("is_active", Boolean, nullable=False),
        Column("search", Text, nullable=False),
        Column("leaves_on", sa.Date, index=True),
        Column("extended_unlock", Boolean, nullable=False),
    )
    _aggregate(
        "groups",
        Column("name", Text, nullable=False),
        Column("name_key", Text, nullable=False, unique=True),
        Column("description", Text),
    )
    op.create_table(
        "group_members",
        Column("group_id", big, ForeignKey("groups.id"), primary_key=True),
        Column("person_id", big, ForeignKey("persons.id"), primary_key=True, index=True),
        sqlite_with_rowid=False,
    )
    _aggregate(
        "consents",
        Column("person_id", big, ForeignKey("persons.id"), nullable=False, unique=True),
        Column("notice_version", Text, nullable=False),
        Column("given_at", moment, nullable=False),
        Column("expires_at", moment),
        Column("method", Text, nullable=False),
    )
    _aggregate(
        "enrollments",
        Column("person_id", big, ForeignKey("persons.id"), nullable=False, index=True),
        Column("face_encoding_path", Text),
        Column("face_image_path", Text),
        Column("confidence_score", Double, nullable=False),
        Column("is_active", Boolean, nullable=False),
        Column("model", Text),
        Column("quality", sa.JSON, nullable=False),
        Column("image_sha256", Text),
    )
    _aggregate(
        "accounts",
        Column("username", Text, nullable=False),
        Column("username_key", Text, nullable=False, unique=True),
        Column("role", Text, nullable=False),
        Column("password_hash", Text, nullable=False),
        Column("token_digest", Text, unique=True),
        Column("person_id", big, ForeignKey("persons.id"), index=True),
        Column("is_active", Boolean, nullable=False),
    )


def _access() -> None:
    _aggregate(
        "schedules",
        Column("name", Text, nullable=False),
        Column("name_key", Text, nullable=False, unique=True),
        Column("week", sa.JSON, nullable=False),
        Column("holiday", sa.JSON),
    )
    op.create_table(
        "schedule_exceptions",
        Column("schedule_id", big, ForeignKey("schedules.id"), primary_key=True),
        Column("day", sa.Date, primary_key=True),
        Column("hours", sa.JSON, nullable=False),
        sqlite_with_rowid=False,
    )
    _aggregate(
        "sites",
        Column("name", Text, nullable=False, unique=True),
        Column("rules", sa.JSON, nullable=False),
    )
    op.create_table(
        "holidays",
        Column("site_id", big, ForeignKey("sites.id"), primary_key=True),
        Column("day", sa.Date, primary_key=True),
        Column("name", Text, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "group_rules",
        Column("id", big, primary_key=True, autoincrement=True),
        Column("group_id", big, ForeignKey("groups.id"), nullable=False, index=True),
        Column("gate", Text),
        Column("schedule_id", big, ForeignKey("schedules.id"), index=True),
        sqlite_autoincrement=True,
    )
    _aggregate(
        "person_access",
        Column("person_id", big, ForeignKey("persons.id"), nullable=False, unique=True),
        Column("valid_from", moment),
        Column("valid_until", moment),
        *(
            Column(name, Boolean, nullable=False)
            for name in (
                "visitor",
                "face",
                "two_factors",
                "needs_escort",
                "may_escort",
                "exempt",
            )
        ),
    )
    _aggregate(
        "credentials",
        Column("person_id", big, ForeignKey("persons.id"), nullable=False, index=True),
        Column("kind", Text, nullable=False),
        Column("label", Text),
        Column("from_hub", Boolean, nullable=False),
        Column("key_count", Integer, nullable=False),
        Column("digest", Text, unique=True),
        Column("pin_hash", Text),
        Column("failures", Integer, nullable=False),
        Column("is_active", Boolean, nullable=False),
        Column("valid_from", moment),
        Column("valid_until", moment),
    )


def _attendance() -> None:
    op.create_table(
        "attendance_logs",
        Column("id", big, primary_key=True, autoincrement=True),
        Column("uid", Text, nullable=False, unique=True),
        Column("person_id", big, ForeignKey("persons.id")),
        Column("gate_name", Text, nullable=False),
        Column("direction", Text, nullable=False),
        Column("confidence_score", Double, nullable=False),
        Column("camera_name", Text, nullable=False),
        Column("status", Text, nullable=False),
        Column("created_at", moment, nullable=False),
        Column("reason", Text, nullable=False),
        Column("method", Text, nullable=False),
        Column("rule", Text),
        Column("site", Text, nullable=False),
        Column("visit", big),
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
        Column("seq", big, nullable=False),
        Column("recorded_at", moment, nullable=False),
        Column("superseded_by", big, ForeignKey("attendance_logs.id")),
        sa.UniqueConstraint("chain", "seq"),
        sqlite_autoincrement=True,
    )
    for before, after in (
        ([], []),
        (["person_id"], []),
        (["gate_name"], []),
        (["gate_name", "direction"], []),
        (["status"], ["gate_name", "direction"]),
        (["direction"], []),
    ):
        columns = [*before, "created_at", "id", *after]
        op.create_index(f"ix_attendance_logs_{'_'.join(columns)}", "attendance_logs", columns)
    corrected = sa.text("superseded_by IS NOT NULL")
    op.create_index(
        "ix_attendance_logs_superseded_by",
        "attendance_logs",
        ["superseded_by"],
        sqlite_where=corrected,
        postgresql_where=corrected,
    )


def _requests_and_sessions() -> None:
    _aggregate(
        "correction_requests",
        Column("person_id", big, ForeignKey("persons.id"), nullable=False, index=True),
        Column("attendance_id", big, ForeignKey("attendance_logs.id")),
        Column("passed_at", moment),
        Column("direction", Text),
        Column("status", Text),
        Column("reason", Text, nullable=False),
        Column("state", Text, nullable=False),
        Column("answer", Text),
        Column("result_id", big, ForeignKey("attendance_logs.id")),
    )
    op.create_index("ix_correction_requests_state_id", "correction_requests", ["state", "id"])
    _aggregate(
        "snapshots",
        Column("person_id", big, ForeignKey("persons.id"), index=True),
        Column("reason", Text, nullable=False),
        Column("gate_name", Text, nullable=False),
        Column("visit", Integer, nullable=False),
        Column("pad", Double),
        Column("path", Text, nullable=False),
        Column("taken_at", moment, nullable=False, index=True),
    )
    op.create_table(
        "ended_sessions",
        Column("token_id", Text, primary_key=True),
        Column("expires_at", moment, nullable=False, index=True),
    )


def _alarms() -> None:
    op.create_table(
        "alarms",
        Column("id", big, primary_key=True, autoincrement=True),
        Column("kind", Text, nullable=False),
        Column("severity", Text, nullable=False),
        Column("detail", sa.JSON, nullable=False),
        Column("raised_at", moment, nullable=False),
        Column("last_at", moment, nullable=False, index=True),
        Column("count", Integer, nullable=False),
        Column("acknowledged_at", moment),
        Column("chain", Text, comment="of the row that tells who acknowledged it"),
        Column("seq", big),
        sqlite_autoincrement=True,
    )
    unseen = sa.text("acknowledged_at IS NULL")
    op.create_index(
        "ix_alarms_kind",
        "alarms",
        ["kind"],
        unique=True,
        sqlite_where=unseen,
        postgresql_where=unseen,
    )


def _journal() -> None:
    op.create_table(
        "journal",
        Column("chain", Text, primary_key=True),
        Column("seq", big, primary_key=True, autoincrement=False),
        Column("at_utc", big, nullable=False, comment="microseconds since 1970"),
        Column("boot_id", Text, nullable=False),
        Column("mono_ns", big, nullable=False),
        Column("clock_ok", Boolean, nullable=False),
        Column("kind", Text, nullable=False),
        Column("body", Text, nullable=False, comment="canonical JSON without personal data"),
        Column("commits", Text, nullable=False, comment="canonical JSON, role to commitment"),
        Column("prev", Text, nullable=False),
        Column("hash", Text, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_journal_kind_chain_seq", "journal", ["kind", "chain", "seq"])
    acts = sa.text("kind <> 'decision'")
    op.create_index(
        "ix_journal_audited",
        "journal",
        ["at_utc", "chain", "seq"],
        sqlite_where=acts,
        postgresql_where=acts,
    )
    op.create_table(
        "journal_private",
        Column("chain", Text, primary_key=True),
        Column("seq", big, primary_key=True, autoincrement=False),
        Column("role", Text, primary_key=True),
        Column("salt", Text, nullable=False),
        Column("payload", Text, nullable=False, comment="canonical JSON"),
        Column("uid", Text, index=True),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "journal_seal",
        Column("chain", Text, primary_key=True),
        Column("seq", big, primary_key=True, autoincrement=False),
        Column("hash", Text, nullable=False),
        Column("signature", Text, nullable=False, comment="Ed25519, hex"),
        sqlite_with_rowid=False,
    )


def _fleet() -> None:
    _aggregate(
        "gates",
        Column("name", Text, nullable=False),
        Column("name_key", Text, nullable=False, unique=True),
        Column("site", Text, nullable=False),
        Column("everyone", Boolean, nullable=False),
        Column("photos", Boolean, nullable=False),
        Column("edits", Text, nullable=False),
        Column("account_id", big, ForeignKey("accounts.id"), unique=True),
        Column("device", Text, unique=True, comment="uid of the journal of the present hardware"),
        Column("sign_key", Text, comment="Ed25519, public, hex"),
        Column("seal_key", Text, comment="X25519, public, hex"),
        Column("journal_key", Text, comment="Ed25519, public, hex"),
        Column("invite", Text, unique=True, comment="names the open invitation"),
        Column("invite_key", Text, comment="proves that somebody knows its code"),
        Column("invite_until", moment),
        Column("joined_at", moment),
        Column("revoked_at", moment),
        Column("seen_at", moment),
        Column("model", Text),
        Column("status", sa.JSON, nullable=False),
        Column("troubled", Boolean, nullable=False),
        Column("feed", Integer, nullable=False),
        Column("cursor", big, nullable=False, comment="applied by the gate"),
    )
    op.create_table(
        "gate_groups",
        Column("gate_id", big, ForeignKey("gates.id"), primary_key=True),
        Column("group_id", big, ForeignKey("groups.id"), primary_key=True, index=True),
        sqlite_with_rowid=False,
    )


def _configurations() -> None:
    _aggregate(
        "configurations",
        Column("settings", sa.JSON, nullable=False, comment="section to key to value"),
        Column("note", Text),
    )
    _aggregate(
        "rollouts",
        Column("configuration_id", big, ForeignKey("configurations.id"), nullable=False),
        Column("stages", sa.JSON, nullable=False),
        Column("soak_s", Double, nullable=False),
        Column("automatic", Boolean, nullable=False),
        Column("stage", Integer, nullable=False, comment="the present one, from 0"),
        Column("state", Text, nullable=False, index=True),
        Column("reason", Text),
        Column("chain", Text),
        Column("seq", big),
    )
    op.create_table(
        "given_settings",
        Column("gate_id", big, ForeignKey("gates.id"), primary_key=True),
        Column("uid", Text, nullable=False, comment="of this giving"),
        Column("rollout_id", big, ForeignKey("rollouts.id"), nullable=False, index=True),
        Column("stage", Integer, nullable=False),
        Column("configuration_id", big, ForeignKey("configurations.id")),
        Column("before_id", big, ForeignKey("configurations.id")),
        Column("troubles", sa.JSON, nullable=False, comment="problems that the gate had before"),
        Column("heard", Boolean, nullable=False, comment="of the gate, when they were given"),
        Column("healthy_since", moment),
        Column("silent_since", moment),
        Column("flaw", Text, comment="why the gate does not count any more"),
        sqlite_with_rowid=False,
    )


def _changes() -> None:
    op.create_table(
        "changes",
        Column("kind", Text, primary_key=True),
        Column("uid", Text, primary_key=True),
        Column("seq", big, nullable=False, unique=True, comment="of the last change"),
        Column("gone", Boolean, nullable=False),
        Column("at", moment, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "erasures",
        Column("uid", Text, primary_key=True, comment="of a person"),
        Column("seq", big, nullable=False, unique=True, comment="of the change that tells of it"),
        Column("at", moment, nullable=False),
        Column("closed_at", moment),
        Column("confirmed", Integer, comment="how many gates did, once closed"),
        Column("missing", sa.JSON, comment="names of those that cannot, once closed"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "erasure_confirmations",
        Column("uid", Text, ForeignKey("erasures.uid"), primary_key=True),
        Column("gate_id", big, ForeignKey("gates.id"), primary_key=True),
        Column("at", moment, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "mirrored",
        Column("kind", Text, primary_key=True, comment="of a thing that the hub has given"),
        Column("uid", Text, primary_key=True),
        Column(
            "snapshot", Integer, nullable=False, comment="number of the one that last named them"
        ),
        Column("version", big, comment="of a person on the hub: number of the last change"),
        sqlite_with_rowid=False,
    )


def _edits() -> None:
    op.create_table(
        "editors",
        Column("account_id", big, ForeignKey("accounts.id"), primary_key=True),
        Column("everyone", Boolean, nullable=False),
        Column("salt", Text),
        Column("public_key", Text, comment="Ed25519, hex"),
        Column("from_hub", Boolean, nullable=False),
        Column("at_once", Boolean, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "editor_groups",
        Column("account_id", big, ForeignKey("editors.account_id"), primary_key=True),
        Column("group_id", big, ForeignKey("groups.id"), primary_key=True, index=True),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "edge_edits",
        Column("id", big, primary_key=True, autoincrement=True),
        Column("uid", Text, nullable=False, unique=True),
        Column("kind", Text, nullable=False),
        Column("person", Text, nullable=False, index=True, comment="uid"),
        Column("operator", Text, nullable=False, comment="name"),
        Column("made_at", moment, nullable=False),
        Column("effect", sa.JSON, nullable=False),
        Column("at_once", Boolean, nullable=False),
        Column("wire", sa.JSON),
        Column("state", Text, nullable=False, index=True),
        Column("reason", Text),
        Column("decided_at", moment),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "fleet_edits",
        Column("id", big, primary_key=True, autoincrement=True),
        Column("uid", Text, nullable=False, unique=True),
        Column("gate_id", big, ForeignKey("gates.id"), nullable=False, index=True),
        Column("kind", Text, nullable=False),
        Column("person", Text, nullable=False, index=True, comment="uid"),
        Column("base", big, nullable=False, comment="version of the person that the gate had"),
        Column("after", Text, comment="uid of the edit of the same person before it"),
        Column("operator", Text, nullable=False, comment="uid of the account"),
        Column("made_at", moment, nullable=False),
        Column("digest", Text, nullable=False, comment="SHA-256 of what was signed"),
        Column("content", sa.JSON),
        Column("received_at", moment, nullable=False),
        Column("state", Text, nullable=False),
        Column("reason", Text),
        Column("decided_by", Text),
        Column("decided_at", moment),
        Column("result", big, comment="version of the person after it"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_fleet_edits_state_id", "fleet_edits", ["state", "id"])


def _collected() -> None:
    op.create_table(
        "sync_chains",
        Column("chain", Text, primary_key=True),
        Column("gate_id", big, ForeignKey("gates.id"), nullable=False, index=True),
        Column("seq", big, nullable=False, comment="acknowledged"),
        Column("hash", Text, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "sync_quarantine",
        Column("id", big, primary_key=True, autoincrement=True),
        Column("gate_id", big, ForeignKey("gates.id"), nullable=False, index=True),
        Column("chain", Text, nullable=False),
        Column("seq", big, nullable=False),
        Column(
            "digest", Text, nullable=False, comment="SHA-256 of the row, so that it is kept once"
        ),
        Column("reason", Text, nullable=False),
        Column("row", Text, nullable=False, comment="canonical JSON, as it came"),
        Column("at", moment, nullable=False),
        sa.UniqueConstraint("chain", "seq", "digest", "reason"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "sync_quarantine_private",
        Column("quarantine_id", big, ForeignKey("sync_quarantine.id"), primary_key=True),
        Column("role", Text, primary_key=True),
        Column("payload", Text, nullable=False, comment="canonical JSON"),
        Column("uid", Text, index=True),
        sqlite_with_rowid=False,
    )


def _presence() -> None:
    op.create_table(
        "presence_sites",
        Column("site", Text, primary_key=True),
        Column("feed", Text, nullable=False, comment="names the sequence of numbers"),
        Column("seq", big, nullable=False, comment="of the last change"),
        Column("asked_at", moment, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "site_presence",
        Column("site", Text, primary_key=True, comment="empty: as the hub of this gate told it"),
        Column("uid", Text, primary_key=True, index=True, comment="of a person; empty: everybody"),
        Column("seq", big, nullable=False),
        Column("direction", Text),
        Column("utc", Double, comment="seconds since 1970"),
        Column("gate", Text),
        Column("device", Text, comment="uid of the journal that tells of it"),
        Column("forgiven_utc", Double),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_site_presence_site_seq", "site_presence", ["site", "seq"])


def upgrade() -> None:
    _persons_and_theirs()
    _access()
    _attendance()
    _requests_and_sessions()
    op.create_table(
        "settings",
        Column("key", Text, primary_key=True),
        Column("value", sa.JSON, nullable=False),
        Column("updated_at", moment, nullable=False),
    )
    _alarms()
    _journal()
    _fleet()
    _configurations()
    _changes()
    _edits()
    _collected()
    _presence()


def downgrade() -> None:
    for name in (
        "site_presence",
        "presence_sites",
        "sync_quarantine_private",
        "sync_quarantine",
        "sync_chains",
        "fleet_edits",
        "edge_edits",
        "editor_groups",
        "editors",
        "mirrored",
        "erasure_confirmations",
        "erasures",
        "changes",
        "given_settings",
        "rollouts",
        "configurations",
        "gate_groups",
        "gates",
        "journal_seal",
        "journal_private",
        "journal",
        "settings",
        "ended_sessions",
        "snapshots",
        "correction_requests",
        "alarms",
        "attendance_logs",
        "credentials",
        "person_access",
        "group_rules",
        "holidays",
        "sites",
        "schedule_exceptions",
        "schedules",
        "accounts",
        "enrollments",
        "consents",
        "group_members",
        "groups",
        "persons",
    ):
        op.drop_table(name)

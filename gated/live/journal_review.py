"""Puts on record, with the reason, the problems of the journal that somebody has looked into."""

from __future__ import annotations

from gated.database.state_lock import StateLock
from gated.enrollment.jobs import Job
from gated.journal.key_rotation import finish
from gated.journal.verify import JournalProblem, Verification
from gated.vault.sealing import make_next_journal_key
from gated.workspace import Service

MOST_PROBLEMS = 100
"""Named in one report; the command names all."""

__all__ = ["JournalProblem", "JournalReview", "Verification"]


class JournalReview(Service):
    """The verdict of people on a journal that could not go on, or that somebody has altered."""

    def acknowledge(self, *, actor: str, reason: str) -> Verification:
        """Put on record that all that is wrong was looked into; gives what it was.

        It is no failure any more, as long as it stays as it is. Conflict when nothing is wrong.
        """
        return self._workspace.journal.acknowledge(self._clock.now(), actor, reason)

    def check(self, job: Job) -> None:
        """Verify the journal, with its progress shown by a job; the report is what was found."""
        result = self._workspace.journal.verify(lambda done, of: job.progress(done, of, {}))
        problems = [
            {"chain": p.chain, "seq": p.seq, "last": p.end, "what": p.what}
            for p in result.problems[:MOST_PROBLEMS]
        ]
        report = {
            "ok": result.ok,
            "rows": result.rows,
            "problems": problems,
            "notes": list(result.notes),
        }
        job.progress(result.rows, result.rows, report)

    def rotate_key(self, *, actor: str, reason: str) -> str:
        """Let a new key seal the journal from now on; gives it (public, hex).

        Whatever cuts it off, one key is in force and the journal goes on. StateLocked while the
        program runs, StorageError.
        """
        state = self._workspace.settings.storage.state_dir
        with StateLock(state):
            following = make_next_journal_key(state)
            end = self._workspace.journal.rotate(self._clock.now(), following, actor, reason)
            finish(state, end, self._workspace.journal.public_key)
        return self._workspace.journal.public_key

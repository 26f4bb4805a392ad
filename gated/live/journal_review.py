"""Verifies the journal, records that its problems were investigated, and rotates its key."""

from __future__ import annotations

from gated.database.state_lock import StateLock
from gated.enrollment.jobs import Job
from gated.journal.key_rotation import finish
from gated.journal.verify import JournalProblem, Verification
from gated.vault.sealing import make_next_journal_key
from gated.workspace import Service

MOST_PROBLEMS = 100
"""Problems in one report; the command lists all."""

__all__ = ["JournalProblem", "JournalReview", "Verification"]


class JournalReview(Service):
    """Acts of administrators on a journal that was altered or could not continue."""

    def acknowledge(self, *, actor: str, reason: str) -> Verification:
        """Record that all present problems were investigated, and return them.

        They no longer count as failures while they stay unchanged. Raises: Conflict when there is
        no problem.
        """
        return self._workspace.journal.acknowledge(self._clock.now(), actor, reason)

    def check(self, job: Job) -> None:
        """Verify the journal as a job, with progress and a report of problems."""
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
        """Seal the journal with a new key from now on, and return its public half (hex).

        When interrupted, either key is in force and the journal goes on. Raises: StateLocked while
        the program runs, StorageError.
        """
        state = self._workspace.settings.storage.state_dir
        with StateLock(state):
            following = make_next_journal_key(state)
            end = self._workspace.journal.rotate(self._clock.now(), following, actor, reason)
            finish(state, end, self._workspace.journal.public_key)
        return self._workspace.journal.public_key

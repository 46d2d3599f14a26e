"""The doctor of a store: finds damage and explains it, and changes nothing.

It reads everything by plain means first and opens the store only when that found its logs whole, since opening a
damaged table mends it a little.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from dashapp import __version__
from dashapp.config import Settings
from dashapp.errors import StoreMissing, TickertoneError
from dashapp.model.score import position_of
from dashapp.model.time import MIN_US, US_PER_DAY, US_PER_SECOND, EpochUs, to_iso
from dashapp.rollup.verify import months, verify
from dashapp.store.filecheck import Damaged, buckets_damaged, check_files, orphans, scores_damaged
from dashapp.store.findings import CLOCK_TOLERANCE_S, Finding, Findings, Mend, Severity
from dashapp.store.logcheck import PROTOCOL, Log, check_log
from dashapp.store.migrations import FORMAT, FORMAT_NAME
from dashapp.store.placecheck import Place
from dashapp.store.reader import PATIENT_MS, Reader, View
from dashapp.store.storage import LOG, Storage
from dashapp.store.store import Store, storages

Progress = Callable[[str], None]


def examine(settings: Settings, now_us: EpochUs, progress: Progress = lambda what: None) -> Findings:
    """Look at everything a store consists of and change nothing; about a million scores a second and core.

    What cannot be looked at is a finding, too. Raises StoreMissing.
    """
    return _Examination(settings, now_us, progress).findings()


class _Examination:
    """One look at a store."""

    def __init__(self, settings: Settings, now_us: EpochUs, progress: Progress) -> None:
        self._settings = settings
        self._now_us = now_us
        self._progress = progress
        self._data_dir = settings.data_dir.absolute()
        self._result = Findings()
        self._damaged: dict[str, list[Damaged]] = {"scores": [], "buckets": []}

    def findings(self) -> Findings:
        """What was found."""
        if not self._data_dir.is_dir():
            raise StoreMissing(f"There is no store at {self._data_dir}. Set TICKERTONE_DATA_DIR, or use --data-dir.")
        self._progress("the data folder")
        self._result.found += Place(self._data_dir, self._now_us).findings()
        storage = storages(self._settings, self._data_dir)
        try:
            self._look(storage("scores"), storage("buckets"))
        except StoreMissing:
            raise
        except TickertoneError as error:
            self._find(
                "cannot_look",
                Severity.DAMAGE,
                str(self._data_dir),
                f"Not everything could be looked at: {error}",
                "What is said here is not all there is to say.",
                "Mend what the message names and look again.",
            )
        order = list(Severity)
        self._result.found.sort(key=lambda finding: order.index(finding.severity))
        return self._result

    def _look(self, scores: Storage, buckets: Storage) -> None:
        logs = {"scores": self._log(scores, "scores"), "buckets": self._log(buckets, "buckets")}
        if logs["scores"].version < 0:
            if next(scores.data_files(), None) is None:
                raise StoreMissing(scores.missing)
            self._no_log(scores)
            return
        if self._is_too_new(scores, logs):
            return
        self._clock(scores, max(log.newest_ms for log in logs.values()))
        for storage, table in ((scores, "scores"), (buckets, "buckets")):
            self._files(storage, table, logs)
        is_whole = not any(finding.severity is Severity.DAMAGE for log in logs.values() for finding in log.findings)
        if logs["buckets"].version < 0:
            self._find(
                "no_buckets",
                Severity.WARNING,
                buckets.name,
                "There is no table of buckets.",
                "Every question is answered from the scores, which takes longer.",
                "`tickertone rollup` makes it, `tickertone doctor --repair` as well.",
                Mend.REBUILD,
            )
        elif is_whole and not self._damaged["buckets"]:
            self._compare(logs)

    def _log(self, storage: Storage, table: str) -> Log:
        self._progress(f"the log of the {table}")
        log = check_log(storage, table)
        self._result.log_files += log.log_files
        self._result.found += log.findings
        return log

    def _no_log(self, scores: Storage) -> None:
        self._find(
            "log_gone",
            Severity.DAMAGE,
            f"{scores.name}/{LOG}",
            "There are files of scores, and no log that says which of them count.",
            "No score can be read.",
            "Put the folder back from a backup: `tickertone restore`.",
        )

    def _is_too_new(self, scores: Storage, logs: dict[str, Log]) -> bool:
        """Tell of tables that a later version or another engine has made, which nothing more can be said about."""
        state = logs["scores"].state
        found = state.numbers.get(FORMAT_NAME, 1) if state else 1
        if found > FORMAT:
            self._find(
                "store_too_new",
                Severity.DAMAGE,
                scores.name,
                f"The store is of format {found}; Tickertone {__version__} reads up to {FORMAT}.",
                "A later version of Tickertone has written it. It is not damaged, but this version cannot use it.",
                "Install the version that made it, or a later one.",
            )
        for table, log in logs.items():
            if log.state is not None and log.state.protocol > PROTOCOL:
                self._find(
                    "protocol_too_new",
                    Severity.DAMAGE,
                    f"{scores.name.removesuffix('scores')}{table}",
                    "Another program has raised the table's protocol of Delta Lake to reader "
                    f"{log.state.protocol[0]}, writer {log.state.protocol[1]}.",
                    f"Tickertone is reader {PROTOCOL[0]}, writer {PROTOCOL[1]}.",
                    "Go back to a backup from before that: `tickertone restore`.",
                )
        return any(finding.kind in ("store_too_new", "protocol_too_new") for finding in self._result.found)

    def _clock(self, scores: Storage, newest_ms: int) -> None:
        ahead_s = newest_ms / 1_000 - self._now_us / US_PER_SECOND
        if ahead_s > CLOCK_TOLERANCE_S:
            self._find(
                "clock",
                Severity.WARNING,
                scores.name,
                f"The newest commit was made at {to_iso(newest_ms * 1_000)}, {ahead_s:,.0f} s after what the clock "
                f"says now ({to_iso(self._now_us)}).",
                "The clock is behind, or was ahead then. What is counted does not depend on it; which bucket is still "
                "open, when jobs are due and when replaced files go does.",
                "Set the clock, by NTP (timedatectl set-ntp true). Nothing in the store has to be mended.",
            )

    def _files(self, storage: Storage, table: str, logs: dict[str, Log]) -> None:
        state, counted = logs[table].state, logs["buckets"].state
        seen = counted.seen if counted else 0
        scores = logs["scores"].state
        sealed_us = scores.sealed_us if scores else MIN_US
        if state is not None:
            self._result.data_files += len(state.files)
            for damaged in check_files(storage, table, state.files, self._progress):
                self._damaged[table].append(damaged)
                self._result.found.append(
                    scores_damaged(storage, damaged, seen=seen)
                    if table == "scores"
                    else buckets_damaged(storage, damaged, sealed_us=sealed_us)
                )
        now_s = self._now_us / US_PER_SECOND
        self._result.found += orphans(storage, table, logs[table], now_s=now_s, kept_s=self._settings.vacuum_after_s)

    def _compare(self, logs: dict[str, Log]) -> None:
        """Open the store, and compare what is derived with what it is derived from."""
        counted = logs["buckets"].state
        seen = counted.seen if counted else 0
        scores = self._damaged["scores"]
        if any(each.named.bounds["position"][1] >= position_of(seen + 1, 0) for each in scores):
            return  # no view can be taken
        store = Store(self._settings)
        try:
            reader = Reader(store, timeout_ms=PATIENT_MS)
            dates = {each.named.bounds["published_us"][0] // US_PER_DAY for each in scores}
            spans = _days_without({day + more for day in dates for more in (0, 1)}) if dates else months
            result = verify(
                reader, spans=spans, progress=lambda date: self._progress(f"the buckets of {date} and after")
            )
            self._result.buckets, self._result.differ = result.checked, result.differ
            if result.differ:
                self._find(
                    "buckets_differ",
                    Severity.DAMAGE,
                    store.buckets.table.storage.name,
                    f"{result.differ:,} of {result.checked:,} buckets are not what their scores say: "
                    f"{'; '.join(result.worst[:3])}.",
                    "Candles show these wrong numbers.",
                    "`tickertone doctor --repair` makes all buckets anew from the scores.",
                    Mend.REBUILD,
                    rows=result.differ,
                )
            if not scores:
                self._progress("the index of keys")
                for path in store.scores.damaged_runs():
                    self._keys(path)
        finally:
            store.close()

    def _keys(self, path: Path) -> None:
        self._find(
            "keys_damaged",
            Severity.DAMAGE,
            str(path),
            "A file of the index of keys does not hold the keys of the scores that are stored.",
            "By it repeats are told from news: an item that comes again could count twice.",
            "`tickertone doctor --repair` sets it aside; whoever ingests next makes it anew from the scores.",
            Mend.ASIDE,
            str(path.relative_to(self._data_dir)),
        )

    def _find(
        self,
        kind: str,
        severity: Severity,
        place: str,
        what: str,
        meaning: str,
        remedy: str,
        mend: Mend = Mend.BY_HAND,
        name: str = "",
        rows: int | None = None,
    ) -> None:
        self._result.found.append(Finding(kind, severity, place, what, meaning, remedy, mend, name, rows))


def _days_without(damaged: set[int]) -> Callable[[View], list[tuple[EpochUs, EpochUs]]]:
    """Spans for `verify`: every day that has scores, but for some, given as days since 1970."""

    def choose(view: View) -> list[tuple[EpochUs, EpochUs]]:
        days = {file.bounds["published_us"][0] // US_PER_DAY for file in view.score_files} - damaged
        return [(EpochUs(day * US_PER_DAY), EpochUs((day + 1) * US_PER_DAY)) for day in sorted(days)]

    return choose

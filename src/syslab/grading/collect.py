"""Collecting from the exchange without taking a learner's word for anything.

nbgrader's own Collect follows symbolic links with the instructor's rights, takes a submission in
another learner's name with no more than a warning, and stops for the whole class at one name it
cannot read. This one copies plain files only and passes over what is not the learner's own.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from nbgrader.exchange.default import ExchangeCollect

from syslab.grading import untrusted_files
from syslab.grading.intake import TIMESTAMP

ENTRIES, DEPTH = 20_000, 20
LINK = "this-was-a-link-and-was-not-followed"
_REFUSED = ""  # the name under which what is not collected is put aside


class PlainCollect(ExchangeCollect):
    """nbgrader's Collect for an exchange in which anybody may have written anything.

    A link is replaced by one that leads nowhere, so that grading can say so; pipes, sockets and
    devices are left out. With `check_owner` (nbgrader's default) a folder whose name is that of
    a user of this system, but which belongs to another, is passed over.
    """

    def init_src(self) -> None:
        super().init_src()
        self.src_records = [r for r in self.src_records if r["username"] != _REFUSED]

    def _path_to_record(self, path: str) -> dict[str, Any]:
        """The submission in the folder `path`; under no name when it is not to be collected."""
        aside = {"username": _REFUSED, "filename": "", "timestamp": datetime.min}
        parts = os.path.basename(path).rsplit("+", 3)
        if len(parts) < 3 or not parts[0] or parts[1] != self.coursedir.assignment_id:
            return aside
        try:
            record = super()._path_to_record(path)
            record["timestamp"].timestamp()
            found = os.lstat(path)
        except Exception:  # dateutil raises many kinds for what is no time
            self.log.warning("Passed over, the time in its name cannot be read: %s", path)
            return aside
        if not stat.S_ISDIR(found.st_mode):
            self.log.warning("Passed over, not a folder: %s", path)
            return aside
        if self.check_owner and not _belongs_to(found.st_uid, record["username"]):
            self.log.warning("Passed over, it belongs to somebody else: %s", path)
            return aside
        return record

    def do_copy(self, src: str, dest: str, log: Any = None) -> None:
        """Copy the plain files of `src` to `dest`; `dest` appears when it is complete."""
        target = Path(dest)
        stage = target.with_name(f".{target.name}.collecting")
        shutil.rmtree(stage, ignore_errors=True)
        stage.mkdir(parents=True)
        wanted = (f"{self.coursedir.assignment_id}.ipynb", TIMESTAMP)
        limit = int(self.coursedir.max_file_size) * 1000  # given in kB
        with untrusted_files.opened(Path(src), wanted, ENTRIES, DEPTH) as files:
            for path, entry in sorted(files.entries.items()):
                place = stage / path
                place.parent.mkdir(parents=True, exist_ok=True)
                if entry.fault == "link":
                    place.symlink_to(LINK)
                elif not entry.fault and entry.size_bytes <= limit:
                    place.write_bytes(files.read(path, limit)[:limit])
        handed_in = self._path_to_record(src)["timestamp"]
        (stage / TIMESTAMP).unlink(missing_ok=True)
        (stage / TIMESTAMP).write_text(f"{handed_in:%Y-%m-%d %H:%M:%S.%f} UTC", encoding="utf-8")
        stage.rename(target)


def _belongs_to(uid: int, name: str) -> bool:
    """Whether a folder of user `uid` may be a submission of `name`.

    A name that is no user of this system (all learners of some hubs share one) says nothing.
    """
    if sys.platform == "win32":
        return True
    import pwd

    try:
        return pwd.getpwnam(name).pw_uid == uid
    except KeyError:
        return True

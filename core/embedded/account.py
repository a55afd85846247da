"""The OS account PostgreSQL runs as, and the folders that account must reach.

PostgreSQL refuses to run as root. As an ordinary user it runs as that user; as root it gets an account of
its own. No permission outside our folders is ever widened: where that account cannot come through (a
checkout below a closed /root), data and programs live in /var/lib/callsheet instead, linked from VAR_DIR.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from core.errors import Misconfigured

NAME = "callsheet-pg"
SERVICE_ROOT = Path("/var/lib/callsheet")
SOCKET_PATH_LIMIT = 100  # sun_path holds 104 (BSD) or 108 (Linux) bytes, with its closing zero


@dataclass(frozen=True)
class Account:
    uid: int
    gid: int
    name: str
    switch: bool  # whether a child must change to it

    def popen_arguments(self) -> dict[str, object]:
        if not self.switch:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


def postgres_account() -> Account:
    """The account to run PostgreSQL as; as root it is made on first use."""
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid(), "", switch=False)
    try:
        entry = pwd.getpwnam(NAME)
    except KeyError:
        entry = _create()
    return Account(entry.pw_uid, entry.pw_gid, entry.pw_name, switch=True)


def _create() -> pwd.struct_passwd:
    """Add the system account, or fall back to `nobody` where no tool can add one."""
    tool = shutil.which("useradd") or shutil.which("useradd", path="/usr/sbin:/sbin")
    if tool:
        command = [tool, "--system", "--no-create-home", "--shell", "/bin/false", NAME]
        subprocess.run(command, check=False, capture_output=True, timeout=30)
    for name in (NAME, "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise Misconfigured(
        "PostgreSQL cannot run as root and no other account could be made: "
        "run this as an ordinary user, or set DATABASE_URL."
    )


def reachable(path: Path, account: Account) -> bool:
    """Whether the account may come through every folder above `path` (which need not exist yet)."""
    if not account.switch:
        return True
    return all(_may(folder, account, stat.S_IXUSR) for folder in path.resolve().parents if folder.exists())


def _may(path: Path, account: Account, owner_bit: int) -> bool:
    found = path.stat()
    if found.st_uid == account.uid:
        return bool(found.st_mode & owner_bit)
    if found.st_gid == account.gid:
        return bool(found.st_mode & owner_bit >> 3)
    return bool(found.st_mode & owner_bit >> 6)


def private_folder(path: Path, account: Account) -> Path:
    """Make `path` a folder of the account, closed to everyone else; refuse one somebody else planted."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in {os.geteuid(), account.uid}:
        raise Misconfigured(f"{path} belongs to another account: remove it, then try again.")
    path.chmod(0o700)
    if account.switch:
        os.chown(path, account.uid, account.gid)
    return path


def data_folder(var_dir: Path, account: Account) -> Path:
    """The folder that holds the database: `VAR_DIR/postgres`, or a link there to the service's own root."""
    folder = var_dir / "postgres"
    if folder.is_symlink():
        return private_folder(folder.resolve(), account)
    if reachable(folder, account):
        return private_folder(folder, account)
    target = private_folder(_service_root() / _key(var_dir), account)
    folder.symlink_to(target)
    return target


def program_folder(source: Path, account: Account) -> Path:
    """`source` (an installation with bin, lib, share), or a copy of it where the account cannot read it."""
    bki = source / "share" / "postgresql" / "postgres.bki"
    if not account.switch or (reachable(bki, account) and _may(bki, account, stat.S_IRUSR)):
        return source
    made = (source / "bin" / "postgres").stat()
    copy = _service_root() / f"programs-{_key(source)}-{int(made.st_mtime)}-{made.st_size}"
    if not copy.exists():
        draft = Path(tempfile.mkdtemp(prefix="draft-", dir=copy.parent))
        shutil.copytree(source, draft, symlinks=True, dirs_exist_ok=True)
        for path in (draft, *draft.rglob("*")):
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | (0o755 if path.is_dir() else 0o444))
        for path in (draft / "bin").iterdir():
            path.chmod(0o755)
        draft.rename(copy)
    return copy


def socket_folder(data: Path, account: Account) -> Path:
    """A short, closed folder for the socket, the same for the same data: socket paths hold 100 bytes."""
    name = f"callsheet-{account.uid}-{_key(data)}"
    for root in (Path(tempfile.gettempdir()), Path("/tmp")):  # noqa: S108 - private_folder refuses a planted one
        folder = root / name
        if len(os.fsencode(folder / ".s.PGSQL.5432")) < SOCKET_PATH_LIMIT and reachable(folder, account):
            return private_folder(folder, account)
    raise Misconfigured("No folder short enough for a socket: set TMPDIR to a short path.")


def _service_root() -> Path:
    SERVICE_ROOT.mkdir(mode=0o755, parents=True, exist_ok=True)
    return SERVICE_ROOT


def _key(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:12]

"""The guest's disk: Debian as a box has it, its own kernel, gpio-sim built for exactly that kernel, and a gate's locked packages.

Made once, by `mmdebstrap` from wherever this machine's apt gets its packages, and kept in `build/lab` until something of its recipe
changes. Debian builds no gpio-sim; its own kernel source has it.
"""

import contextlib
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from tests.house import ROOT

SUITE: Final = "bookworm"
"""What the lab was tried with: Debian 12, and so Raspberry Pi OS of that name."""
SERIES: Final = "6.1"
"""Its kernel, whose source is a package of that name."""
HOME: Final = Path("/opt/gatehouse/venv")
PACKAGES: Final = (
    *(
        "systemd",
        "systemd-sysv",
        "udev",
        "dbus",
        "kmod",
        "procps",
        "iproute2",
        "dmsetup",
        "e2fsprogs",
        "tzdata",
    ),
    *("python3", "python3-venv", "ca-certificates", "modemmanager", "initramfs-tools", "linux-image-amd64"),
)
BUILDERS: Final = ("linux-headers-amd64", f"linux-source-{SERIES}", "make")
"""For gpio-sim; what they leave behind is thrown away again."""
SOURCES: Final = ("drivers/gpio/gpio-sim.c", "drivers/gpio/gpiolib.h", "kernel/irq/irq_sim.c")
NEEDED: Final = ("mmdebstrap", "qemu-system-x86_64", "qemu-img", "mkfs.ext4")
FREE_GIB: Final = 6
DISK: Final = "3G"
UNUSED: Final = (
    "drivers/gpu",
    "drivers/media",
    "drivers/infiniband",
    "drivers/net/wireless",
    "drivers/net/ethernet",
    "sound",
)
"""Drivers for what no guest has: more than half of all."""
DPKG: Final = tuple(
    f"path-exclude=/usr/share/{folder}/*" for folder in ("doc", "man", "locale", "info", "lintian")
)

HERE: Final = Path(__file__).parent
AGENT_FILES: Final = ("inside/__init__.py", "inside/agent.py")
"""The rest of `inside` is put into the running guest."""
AGENT: Final = """[Unit]
Description=The lab's hand in this guest
[Service]
WorkingDirectory=/opt/lab
ExecStart=/usr/bin/python3 -m inside.agent
Restart=always
[Install]
WantedBy=multi-user.target
"""
NETWORK: Final = "[Match]\nName=eth0\n[Network]\nAddress=10.0.2.15/24\nGateway=10.0.2.2\n"
"""QEMU's own user network, without waiting for its DHCP."""
SILENT: Final = (
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "fstrim.timer",
)


class CannotBuild(Exception):
    """The lab cannot be built on this machine; `str` says why, and what would help."""


def reason_against() -> str:
    """Return why the lab cannot be built here; "" where it can."""
    if sys.platform != "linux" or os.uname().machine != "x86_64":
        return "the guest is built on x86-64 Linux only"
    if os.geteuid() != 0:
        return "a Debian tree with its owners and device nodes is made by root: sudo make lab"
    codename = _release().get("VERSION_CODENAME", "")
    if codename != SUITE:
        return f"the guest is built on Debian {SUITE} only, with its kernel {SERIES}; this is {codename or 'no Debian'}"
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if missing:
        return (
            f"{', '.join(missing)} not found: apt-get install qemu-system-x86 qemu-utils mmdebstrap e2fsprogs"
        )
    free_gib = shutil.disk_usage(ROOT).free / 2**30
    if free_gib < FREE_GIB:
        return f"{free_gib:.1f} GiB free beside the sources, {FREE_GIB} are needed"
    return ""


def _release() -> dict[str, str]:
    with contextlib.suppress(OSError):
        pairs = (line.partition("=") for line in Path("/etc/os-release").read_text().splitlines())
        return {key: value.strip('"') for key, _, value in pairs}
    return {}


def image(folder: Path, say: Callable[[str], None]) -> Path:
    """Return the folder of an image that is up to date, built now where there is none. CannotBuild with the reason."""
    made = folder / f"image-{_recipe()}"
    if (made / "root.qcow2").exists():
        return made
    why = reason_against()
    if why:
        raise CannotBuild(why)
    olds = list(folder.glob("image-*"))
    began = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix="building-") as place:
        root, half = Path(place) / "root", Path(place) / "image"
        half.mkdir()
        _debian(root, say)
        with _mounted(root):
            _gpio_sim(root, say)
            _packages(root, Path(place), say)
            _settle(root)
            _call(_within(root, "update-initramfs", "-u", "-k", "all"))
        _trim(root)
        _pack(root, half, say)
        half.rename(made)
    for old in olds:
        shutil.rmtree(old)
    say(f"the image is built: {time.monotonic() - began:.0f} s")
    return made


def _recipe() -> str:
    """Whatever goes into the image, as a short name. The gate itself does not: it is installed afterwards."""
    files = [Path(__file__), HERE / "machine.py", *(HERE / name for name in AGENT_FILES)]
    parts = [_locked().encode(), *(path.read_bytes() for path in files)]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:12]


def _debian(root: Path, say: Callable[[str], None]) -> None:
    say(f"Debian {SUITE}, its kernel and that kernel's headers and source")
    form = "$(REPO_URI) $(RELEASE) $(COMPONENT)"
    targets = _call(["apt-get", "indextargets", "--format", form, "Created-By: Packages"]).splitlines()
    sources = [f"deb {line}" for line in dict.fromkeys(targets) if line.split()[1].startswith(SUITE)]
    if not sources:
        raise CannotBuild(f"this machine's apt has no source of {SUITE}")
    # A proxy, a certificate: how this machine's apt gets through to there.
    ways = [
        line for line in _call(["apt-config", "dump"]).splitlines() if re.match(r"Acquire::https?::", line)
    ]
    _call(
        [
            *("mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", "--format=directory"),
            f"--include={','.join((*PACKAGES, *BUILDERS))}",
            *(f"--dpkgopt={one}" for one in DPKG),
            *(f"--aptopt={one}" for one in ways),
            # The initramfs is made when all is there, with the three modules it needs.
            "--essential-hook=mkdir -p $1/etc/initramfs-tools/conf.d && echo MODULES=list >$1/etc/initramfs-tools/conf.d/lab",
            *(SUITE, str(root), *sources),
        ],
        "fetching and unpacking Debian",
    )


def _gpio_sim(root: Path, say: Callable[[str], None]) -> None:
    say("gpio-sim for that kernel")
    release = _kernel(root)
    place = root / "srv/gpio-sim"
    place.mkdir()
    archive = root / f"usr/src/linux-source-{SERIES}.tar.xz"
    members = [f"linux-source-{SERIES}/{name}" for name in SOURCES]
    _call(["tar", "-xJf", str(archive), "-C", str(place), "--strip-components=1", "--occurrence=1", *members])
    for name in SOURCES:
        shutil.move(place / name, place / Path(name).name)
    (place / "Makefile").write_text("obj-m := gpio-sim-lab.o\ngpio-sim-lab-y := gpio-sim.o irq_sim.o\n")
    simulated = place / "irq_sim.c"
    # The kernel exports the one to modules, not the other; they find the same descriptor.
    simulated.write_text(
        re.sub(r"irq_to_desc\((\w+)\)", r"irq_data_to_desc(irq_get_irq_data(\1))", simulated.read_text())
    )
    chip = place / "gpio-sim.c"
    text, replaced = re.subn(r"\n\s*gc->free = \w+;", "", chip.read_text())
    if replaced != 1:
        raise CannotBuild("gpio-sim of this kernel lets lines go in another way than the lab knows")
    # It would fall back to its pull when nobody holds it. The kernels of the Pi keep a line as it was driven, and that is
    # what a gate that died has to be met with.
    chip.write_text(text)
    _call(_within(root, "make", "-s", "-C", f"/lib/modules/{release}/build", "M=/srv/gpio-sim", "modules"))
    extra = root / f"lib/modules/{release}/extra"
    extra.mkdir(exist_ok=True)
    shutil.copy(place / "gpio-sim-lab.ko", extra)
    _call(_within(root, "depmod", release))


def _kernel(root: Path) -> str:
    (release,) = (path.name for path in (root / "lib/modules").iterdir())
    return release


def _packages(root: Path, place: Path, say: Callable[[str], None]) -> None:
    """A gate's venv with the packages of the lock, as a box has them: `images` and README say so too."""
    say("the locked packages of a gate")
    lock, wheels = place / "lock.txt", root / "srv/wheels"
    lock.write_text(_locked())
    wheels.mkdir()
    platforms = [
        f"--platform=manylinux{tag}_x86_64" for tag in ("_2_36", "_2_35", "_2_34", "_2_28", "_2_17", "2014")
    ]
    pip = [sys.executable, "-m", "pip", "-qq", "--disable-pip-version-check", "--no-input"]
    _call(
        [
            *(
                *pip,
                "download",
                "--require-hashes",
                "--only-binary=:all:",
                "--no-deps",
                "--dest",
                str(wheels),
            ),
            *("--python-version=3.11", "--implementation=cp", *platforms, "--platform=any", "-r", str(lock)),
        ],
        "fetching the locked packages",
    )
    shutil.copy(lock, root / "srv/lock.txt")
    _call(_within(root, "python3", "-m", "venv", str(HOME)))
    _call(
        _within(
            *(root, str(HOME / "bin/python"), "-m", "pip", "-qq", "--disable-pip-version-check", "install"),
            *("--no-index", "--find-links=/srv/wheels", "--require-hashes", "-r", "/srv/lock.txt"),
        )
    )


def _locked() -> str:
    """Return the lock of what a gate runs, and of gpiod, which is an extra and therefore only in the tests' lock."""
    gpiod = re.search(r"^gpiod==(?:.*\\\n)*.*", _lock("test"), re.MULTILINE)
    assert gpiod is not None
    return f"{_lock('run')}\n{gpiod[0]}\n"


def _lock(name: str) -> str:
    return (ROOT / "requirements" / f"{name}.txt").read_text()


def _settle(root: Path) -> None:
    """What a box has by its image: a name, a network, and here the lab's agent."""
    files = {
        "etc/hostname": "gate\n",
        "etc/hosts": "127.0.0.1 localhost\n127.0.1.1 gate\n",
        "etc/fstab": "/dev/vda / ext4 noatime 0 1\n",
        "etc/systemd/network/10-lab.network": NETWORK,
        "etc/systemd/system/lab-agent.service": AGENT,
        "etc/initramfs-tools/modules": "virtio_pci\nvirtio_blk\next4\n",
        **{f"opt/lab/{name}": (HERE / name).read_text() for name in AGENT_FILES},
    }
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (root / "etc/machine-id").write_text("")
    units = f"--root={root}"
    _call(["systemctl", units, "enable", "systemd-networkd", "lab-agent"])
    _call(["systemctl", units, "disable", "ModemManager"])
    _call(["systemctl", units, "mask", *SILENT])


def _trim(root: Path) -> None:
    """Throw away what only building needed."""
    release = _kernel(root)
    for name in UNUSED:
        shutil.rmtree(root / f"lib/modules/{release}/kernel/{name}", ignore_errors=True)
    for name in (
        "usr/src",
        "usr/lib/gcc",
        "usr/lib/linux-kbuild-6.1",
        "srv/gpio-sim",
        "srv/wheels",
        "var/cache/apt",
    ):
        shutil.rmtree(root / name, ignore_errors=True)
    _call(_within(root, "depmod", release))


def _pack(root: Path, made: Path, say: Callable[[str], None]) -> None:
    say("its disk")
    release = _kernel(root)
    shutil.copy(root / f"boot/vmlinuz-{release}", made / "vmlinuz")
    shutil.copy(root / f"boot/initrd.img-{release}", made / "initrd")
    raw = made / "root.ext4"
    _call(["truncate", "-s", DISK, str(raw)])
    _call(["mkfs.ext4", "-q", "-F", "-d", str(root), str(raw)])
    _call(["qemu-img", "convert", "-q", "-O", "qcow2", str(raw), str(made / "root.qcow2")])
    raw.unlink()


@contextlib.contextmanager
def _mounted(root: Path) -> Iterator[None]:
    """What programs expect of a running system, while they run in the tree."""
    try:
        _call(["mount", "-t", "proc", "proc", str(root / "proc")])
        yield
    finally:
        subprocess.run(["umount", str(root / "proc")], check=False)


def _within(root: Path, *argv: str) -> list[str]:
    clean = ("env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "HOME=/root")
    return ["chroot", str(root), *clean, *argv]


def _call(argv: Sequence[str], doing: str = "making the guest's disk") -> str:
    """Run a command; CannotBuild with its last words where it fails, in one line."""
    with subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            out, err = process.communicate()
        except BaseException:
            # Not killed: mmdebstrap has mounts to let go of.
            process.terminate()
            raise
    if process.returncode:
        said = " ".join((err or out)[-500:].split())
        raise CannotBuild(f"{doing} went wrong, without network or rights perhaps: {argv[0]} says {said!r}")
    return out

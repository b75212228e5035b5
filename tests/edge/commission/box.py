"""A box of files: sysfs, /dev and udev's database as the kernel lays them out, with simulated devices behind the nodes."""

from pathlib import Path

KEYS = "1000000000007 ff9f207ac14057ff febeffdfffefffff fffffffffffffffe"
"""capabilities/key of a USB keyboard."""
VOLUME_KEYS = "3f000303ff 0 0 0"
POS_DESCRIPTOR = bytes.fromhex("068c000902a101")
VENDOR_DESCRIPTOR = bytes.fromhex("0645ff0920a101")


class Box:
    """Files below `root`. Sockets are named as the kernel does: `1-1.3`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._devices = 0
        for folder in ("sys/bus/usb/devices", "sys/class", "sys/module", "dev", "proc", "run/udev/data"):
            (root / folder).mkdir(parents=True)
        self.usb("usb1", "1d6b:0002", "xHCI Host Controller", hub=True)

    def usb(
        self,
        place: str,
        usb: str,
        product: str = "",
        *,
        maker: str = "",
        serial: str = "",
        control: str = "on",
        hub: bool = False,
    ) -> Path:
        """Plug a USB device in; returns its folder."""
        self._devices += 1
        folder = self.root / "sys/devices/usb1" / place
        vendor, _, number = usb.partition(":")
        texts = {
            "idVendor": vendor,
            "idProduct": number,
            "product": product,
            "manufacturer": maker,
            "serial": serial,
            "bDeviceClass": "09" if hub else "00",
            "dev": f"189:{self._devices}",
            "power/control": control,
        }
        for name, text in texts.items():
            if text:
                self._write(folder / name, text + "\n")
        self._link(self.root / "sys/bus/usb/devices" / place, folder)
        return folder

    def mark(self, place: str) -> None:
        """Mark it for ModemManager to leave alone, as the udev rule does."""
        number = (self.root / "sys/bus/usb/devices" / place / "dev").read_text().strip()
        self._write(self.root / "run/udev/data" / f"c{number}", "I:1\nE:ID_MM_DEVICE_IGNORE=1\n")

    def driver(self, place: str, driver: str) -> Path:
        """Bind a driver to its first interface; returns the interface's folder."""
        folder = self.root / "sys/devices/usb1" / place / f"{place}:1.0"
        folder.mkdir(parents=True, exist_ok=True)
        (self.root / "sys/bus/usb/drivers" / driver).mkdir(parents=True, exist_ok=True)
        self._link(folder / "driver", self.root / "sys/bus/usb/drivers" / driver)
        return folder

    def serial(self, place: str, node: str, port: Path | None = None) -> Path:
        """Give it a port; `port` is a simulator's. Returns the name that a gate is told: `by-path`."""
        device = self.driver(place, "cdc_acm" if node.startswith("ttyACM") else "ch341")
        self._link(self.root / "sys/class/tty" / node / "device", device)
        return self._node(node, "serial/by-path", f"platform-xhci-hcd.0-usb-0:{place}:1.0", port)

    def keyboard(self, place: str, number: int, name: str, port: Path | None = None) -> Path:
        """Give it an input device that types, and one for its volume keys."""
        interface = self.driver(place, "usbhid")
        for at, keys in ((number, KEYS), (number + 1, VOLUME_KEYS)):
            device = interface / "input" / f"input{at}"
            for file, text in (("name", name), ("phys", f"usb-xhci-hcd.0-{place}/input0")):
                self._write(device / file, text + "\n")
            self._write(device / "capabilities/key", keys + "\n")
            self._link(self.root / "sys/class/input" / f"event{at}" / "device", device)
        link = f"platform-xhci-hcd.0-usb-0:{place}:1.0-event-kbd"
        return self._node(f"event{number}", "input/by-path", link, port, folder="input")

    def hid(self, place: str, number: int, name: str, descriptor: bytes = POS_DESCRIPTOR) -> Path:
        """Give it a hidraw node."""
        device = self.driver(place, "usbhid") / f"0003:05E0:1900.000{number}"
        self._write(
            device / "uevent",
            f"HID_ID=0003:000005E0:00001900\nHID_NAME={name}\nHID_PHYS=usb-{place}/input0\n",
        )
        (device / "report_descriptor").write_bytes(descriptor)
        self._link(self.root / "sys/class/hidraw" / f"hidraw{number}" / "device", device)
        path = self.root / "dev" / f"hidraw{number}"
        path.touch()
        return path

    def pcsc(self, *, has_driver: bool = True) -> None:
        """Have the PC/SC service be asked."""
        self._write(self.root / "run/pcscd/pcscd.comm", "")
        if has_driver:
            (self.root / "usr/lib/pcsc/drivers/ifd-ccid.bundle").mkdir(parents=True)

    def polkit(self, file: str, text: str) -> Path:
        """Have polkit with a rule; returns the folder."""
        folder = self.root / "etc/polkit-1/rules.d"
        self._write(folder / file, text)
        return folder

    def interface(self, place: str, number: int, class_of: str) -> None:
        """Give it an interface of a class."""
        folder = self.root / "sys/devices/usb1" / place / f"{place}:1.{number}"
        self._write(folder / "bInterfaceClass", class_of + "\n")

    def program(self, name: str, number: int = 700) -> None:
        """Have a program run."""
        self._write(self.root / "proc" / str(number) / "comm", name + "\n")

    def module(self, name: str) -> None:
        """Load a kernel module."""
        (self.root / "sys/module" / name).mkdir()

    def pull(self, place: str) -> None:
        """Pull its plug: the kernel knows it no more."""
        (self.root / "sys/bus/usb/devices" / place).unlink()

    def put_back(self, place: str) -> None:
        """Put it into the socket where it was."""
        self._link(self.root / "sys/bus/usb/devices" / place, self.root / "sys/devices/usb1" / place)

    def by_id(self, node: str, name: str) -> Path:
        """Give a port the name that udev makes of what the device says of itself."""
        link = self.root / "dev/serial/by-id" / name
        self._link(link, self.root / "dev" / node)
        return link

    def _node(self, node: str, links: str, link: str, port: Path | None, folder: str = "") -> Path:
        path = self.root / "dev" / folder / node
        path.parent.mkdir(parents=True, exist_ok=True)
        if port is None:
            path.touch()
        else:
            self._link(path, port)
        stable = self.root / "dev" / links / link
        self._link(stable, path)
        return stable

    def _write(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def _link(self, link: Path, target: Path) -> None:
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(target)

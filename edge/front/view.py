"""What the page shows, said in a language: the lane's status turned into words. Nothing here does I/O."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import msgspec

from admission.reasons import DisplayState, Language, Line, Reason, say, say_line
from admission.records import Direction, Flag, Outcome
from edge.board import BoardVerdict, VerdictWord, verdict
from edge.front.labels import labels
from edge.front.rehearsed import Go
from edge.front.timeline import Happened, Story
from edge.link import (
    ASKED,
    BY_HAND,
    CHECK_IN,
    DOUBTED,
    STORED,
    After,
    Health,
    LaneView,
    Part,
    Rung,
    Seen,
    StaffAlert,
    Status,
    Tile,
)
from edge.schedule import timezone_of
from edge.words import UNIX_END, WORDS, sentence

STATES = ("controlled", "closed", "free_exit", "free_both", "out_of_service", "emergency", "rehearsal")
"""Lane states in the order of their buttons: what is used most comes first."""
_FLAGS = (
    (Flag.FLAGGED, "flag_flagged"),
    (Flag.REHEARSAL, "flag_rehearsal"),
    (Flag.UNSURE, "flag_unsure"),
    (Flag.BEFORE_DURABLE, "flag_before_durable"),
)

_UNDONE = frozenset((After.GIVEN_BACK, After.ANNULLED))
"""Let through, and yet the use is free."""
_AT_DESK = frozenset({Line.BOUND, Line.TAP_TAG, Line.TICKET_FIRST})
_OF_THE_TAG = frozenset({Reason.TAG_TAKEN, Reason.RANDOM_TAG, Reason.NOT_GENUINE})


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who looks: the page's language, that of the reasons, and whether the PIN was given."""

    page: Language
    reasons: Language
    has_session: bool = False


class VerdictView(msgspec.Struct, frozen=True):
    """The one line: `word` is ready, degraded or not_ready."""

    word: str
    title: str
    code: str
    cause: str
    fix: str


class TileView(msgspec.Struct, frozen=True):
    """One part; `key` is its own for as long as there is one."""

    key: str
    part: str
    title: str
    health: str
    health_word: str
    text: str
    fix: str
    lane: int
    since_s: int
    doubts: int = 0
    """The gate that it says is in doubt; 0 where it says so of none, or nobody gave the PIN."""


class StateView(msgspec.Struct, frozen=True):
    """One button of a lane's switch."""

    state: str
    label: str


class LaneShown(msgspec.Struct, frozen=True):
    """One lane with its switch."""

    id: int
    name: str
    state: str
    state_name: str
    ready: bool
    fire: bool
    busy: bool
    entries: int
    exits: int
    has_entry: bool
    has_exit: bool
    states: tuple[StateView, ...]


class GoView(msgspec.Struct, frozen=True):
    """Go or no-go, with a line for each lane."""

    go: bool
    text: str
    lanes: tuple[str, ...]


class HappenedView(msgspec.Struct, frozen=True):
    """One line of a ticket's timeline."""

    time_s: float
    text: str


class StoryView(msgspec.Struct, frozen=True):
    """One ticket's timeline, oldest first."""

    title: str
    rows: tuple[HappenedView, ...]


class ZoneView(msgspec.Struct, frozen=True):
    """People in a zone: lower and upper bound, None while nobody knows; `text` says it."""

    id: int
    name: str
    low: int | None
    high: int | None
    text: str


class FireView(msgspec.Struct, frozen=True):
    """What a fire alarm left to be done in a zone. `readmit`: "open" or "end", what staff may do next; "" neither."""

    id: int
    name: str
    text: str
    readmit: str
    count: bool


class AlertView(msgspec.Struct, frozen=True):
    """What staff are called for."""

    number: int
    title: str
    fix: str
    where: str
    time_s: float
    count: int


class ScanView(msgspec.Struct, frozen=True):
    """One scan. `ticket` is "" without the PIN.

    `display` is one of six states, `exit`, or `undone`: let through, and did not pass or was taken back. `epoch` and
    `seq` name its record, `key` its row: the same key again corrects it.
    """

    key: str
    epoch: str
    seq: int
    time_s: float
    lane: int
    where: str
    display: str
    title: str
    text: str
    steward: str
    flags: tuple[str, ...]
    ticket: str
    may_annul: bool
    word: str = ""
    """What a display says in large letters, where that is not its state's own: a key of `edge.front.display.WORDS`."""
    shown_s: int = 0
    """How long a display shows it; 0: as ever."""
    product: str = ""
    became: bool = False
    """Something became of one who was let through before: a display invites nobody by it."""
    name: str = ""
    """What the visitor asked to be called; on a display that may show it, and in no other answer."""


class StatusView(msgspec.Struct, frozen=True):
    """All of `/api/status`."""

    gate: int
    name: str
    version: str
    epoch: str
    verdict: VerdictView
    tiles: tuple[TileView, ...]
    lanes: tuple[LaneShown, ...]
    inside: tuple[ZoneView, ...]
    list_version: int
    list_rows: int
    records: int
    time_s: float
    started_s: float
    session: bool
    fires: tuple[FireView, ...] = ()
    alerts: tuple[AlertView, ...] = ()
    admit_max: int = 1
    scans: tuple[ScanView, ...] | None = None
    """Newest first; None in a live update, where each scan comes by itself."""


def judged(status: Status | None, *, connected: bool) -> BoardVerdict:
    """Return the verdict, also where the lane process is not there to give one."""
    if status is None or not connected:
        code = "front.starting" if status is None else "front.no_lane"
        return BoardVerdict(VerdictWord.NOT_READY, Tile(Part.LANE, "", Health.BAD, code, stops=True))
    return verdict(status.tiles)


def verdict_view(found: BoardVerdict, status: Status | None, viewer: Viewer) -> VerdictView:
    """Say the verdict: which part, what is wrong, what to do."""
    words = labels(viewer.page)
    title = words[f"verdict_{found.word.value}"]
    if found.cause is None:
        return VerdictView(found.word.value, title, "", words["all_well"], "")
    said = sentence(found.cause.code, found.cause.args, viewer.page)
    which = "" if status is None else _title(found.cause, status, viewer.page)
    where = f"{which}: " if which and found.cause.name else ""
    return VerdictView(found.word.value, title, found.cause.code, where + said.cause, said.fix)


def status_view(
    status: Status | None, scans: Iterable[Seen] | None, viewer: Viewer, *, connected: bool, name: str
) -> StatusView:
    """Say everything. Before the lane's first word there is a verdict and little else."""
    found = verdict_view(judged(status, connected=connected), status, viewer)
    if status is None:
        return StatusView(0, name, "", "", found, (), (), (), 0, 0, 0, 0.0, 0.0, viewer.has_session, scans=())
    shown = None if scans is None else tuple(scan_view(one, status, viewer) for one in scans)
    return StatusView(
        gate=status.gate,
        name=status.name,
        version=status.version,
        epoch=status.epoch,
        verdict=found,
        tiles=tuple(_tile(one, status, viewer) for one in status.tiles),
        lanes=tuple(_lane(one, viewer) for one in status.lanes),
        inside=tuple(
            _zone(zone, name, status, viewer.page)
            for zone, name in status.zones.items()
            if zone in status.inside or zone in status.uncounted
        ),
        fires=tuple(
            _fire(zone, name, status, viewer.page)
            for zone, name in status.zones.items()
            if zone in status.alarms or zone in status.uncounted
        ),
        list_version=status.list_version,
        list_rows=status.list_rows,
        records=status.records,
        time_s=status.time_s,
        started_s=status.started_s,
        session=viewer.has_session,
        alerts=tuple(alert_view(one, status, viewer) for one in status.alerts),
        admit_max=status.admit_max,
        scans=shown,
    )


def _moment(told_s: float, status: Status | None) -> str:
    """Return a time by the venue's clocks, with its date where that is another than today's; "" for none."""
    if not 0 < told_s < UNIX_END:
        return ""
    zone = timezone_of(status.timezone) if status is not None and status.timezone else None
    told = datetime.fromtimestamp(told_s, zone)
    today = datetime.fromtimestamp(status.time_s if status is not None else time.time(), zone)
    if told.date() == today.date():
        return f"{told:%H:%M}"
    return f"{told:%d.%m. %H:%M}" if told.year == today.year else f"{told:%d.%m.%Y %H:%M}"


def scan_view(seen: Seen, status: Status | None, viewer: Viewer, name: str = "") -> ScanView:
    """Say one scan. Numbers that this version does not know are shown as a denial without a reason."""
    words = labels(viewer.page)
    outcome = Outcome(seen.outcome) if seen.outcome in set(Outcome) else Outcome.DENY
    reason = Reason(seen.reason) if seen.reason in set(Reason) else Reason.NONE
    direction = Direction(seen.direction) if seen.direction in set(Direction) else Direction.NONE
    gates = {} if status is None else status.gates
    said = say(
        outcome,
        reason,
        viewer.reasons,
        direction=direction,
        gate=gates.get(seen.gate, ""),
        time=_moment(seen.last_s, status),
    )
    if seen.line in set(Line):
        said = say_line(Line(seen.line), viewer.reasons)
    is_exit = said.display is DisplayState.ADMIT and direction is Direction.EXIT
    display = "exit" if is_exit else said.display.value
    undone = seen.after in _UNDONE
    is_bind = seen.kind == CHECK_IN and seen.line == Line.BOUND
    title = words[f"after_{seen.after.value}" if undone else f"display_{display}"]
    passed = words.get(f"after_{seen.after.value}", "") if not undone else ""
    freed = words["still_inside" if is_exit else "use_free"]
    if seen.kind == CHECK_IN and seen.line in _AT_DESK and not undone:
        title = words[f"desk_{seen.line}"]  # nobody comes in at a desk
    if undone and is_bind:
        title, freed = words["unbound"], words["code_again"]
    lane = _lane_name(seen.lane, status)
    source = words[seen.kind] if seen.kind in {BY_HAND, ASKED} else f"{words['part_reader']} {seen.reader}"
    if seen.kind == STORED:
        source = f"{source} · {words['by_device']}"
    if seen.kind == CHECK_IN:
        source = f"{source} · {words['check_in']}"
    is_entry = direction is Direction.ENTRY and outcome is Outcome.GRANT
    flags = [words[key] for flag, key in _FLAGS if seen.flags & flag]
    may_annul = (
        (is_entry or is_bind) and seen.seq > 0 and bool(seen.ticket) and not seen.flags & Flag.REHEARSAL
    )
    return ScanView(
        key=f"{seen.epoch:x}.{seen.lane}.{seen.row}",
        epoch=f"{seen.epoch:016x}",
        seq=seen.seq,
        time_s=seen.time_s,
        lane=seen.lane,
        where=f"{lane} · {source}",
        display="undone" if undone else display,
        title=title,
        text=said.visitor,
        steward=freed if undone else said.steward,
        flags=tuple(one for one in (passed, *flags) if one),
        ticket=seen.ticket if viewer.has_session else "",
        may_annul=viewer.has_session and may_annul and not undone,
        word=_word(seen, reason),
        shown_s=seen.shown_s,
        product=seen.product,
        became=seen.after is not After.NOTHING,
        name=name if seen.after is After.NOTHING else "",
    )


def _word(seen: Seen, reason: Reason) -> str:
    """Return what stands large on a display: at a desk a wristband that cannot be bound is no refusal of its ticket."""
    if seen.line in set(Line):
        return seen.line
    return "other_tag" if seen.kind == CHECK_IN and reason in _OF_THE_TAG else ""


def alert_view(alert: StaffAlert, status: Status, viewer: Viewer) -> AlertView:
    """Say what staff are called for. A reason's name is said as staff hear it of a scan."""
    code = f"alert.{alert.what}"
    said = sentence(code if code in WORDS else "alert.attention", {}, viewer.page)
    fix = said.fix
    if code not in WORDS and alert.what.upper() in Reason.__members__:
        fix = say(Outcome.DENY, Reason[alert.what.upper()], viewer.page).steward
    where = _lane_name(alert.lane, status)
    return AlertView(alert.number, said.cause, fix, where, alert.time_s, alert.count)


def go_view(found: Go, asked: str, status: Status, language: Language) -> GoView:
    """Say whether the doors may open, and of each lane what it lacks."""
    code = "go.go" if found.go else "go.no_go"
    lanes = []
    for one in found.lanes:
        args: dict[str, str | int] = {"at_s": one.at_s} if one.at_s else {}
        said = sentence(one.code or "go.rehearsed", {**args, "asked": asked}, language)
        lanes.append(f"{_lane_name(one.lane, status)}: {said.cause}")
    return GoView(found.go, sentence(code, {"asked": asked}, language).cause, tuple(lanes))


def timeline_view(found: Iterable[Story], status: Status, language: Language) -> tuple[StoryView, ...]:
    """Say what happened to tickets: when, where, what. Of several events each ticket names its own."""
    words = labels(language)
    stories = tuple(found)
    told = []
    for story in stories:
        title = f"{words['js_ticket']} {story.ticket}"
        if len({one.event for one in stories}) > 1:
            title += f" · {words['event']} {story.event}"
        told.append(StoryView(title, tuple(_happened(one, status, language) for one in story.rows)))
    return tuple(told)


def _happened(one: Happened, status: Status, language: Language) -> HappenedView:
    words = labels(language)
    is_here = one.gate == status.gate
    elsewhere = status.gates.get(int(one.gate)) or f"{words['gate']} {one.gate}"
    place = _lane_name(one.lane, status) if is_here else elsewhere
    said = sentence(one.code, {}, language).cause
    more = [words[key] for flag, key in _FLAGS if one.flags & flag]
    return HappenedView(one.time_s, " · ".join((f"{place}: {said}", *more)))


def _zone(zone: int, name: str, status: Status, language: Language) -> ZoneView:
    if zone not in status.inside:
        return ZoneView(zone, name, None, None, labels(language)["inside_unknown"])
    low, high = status.inside[zone]
    return ZoneView(zone, name, low, high, str(low) if low == high else f"{low}–{high}")


def _fire(zone: int, name: str, status: Status, language: Language) -> FireView:
    words = labels(language)
    rung = status.alarms.get(zone)
    said = [words[f"fire_{rung.value}"]] if rung is not None else []
    if uncounted := zone in status.uncounted:
        said.append(words["fire_uncounted"])
    is_latched = any(lane.fire for lane in status.lanes)
    readmit = "end" if rung is Rung.AGAIN else "open" if rung is Rung.OUT and not is_latched else ""
    return FireView(zone, name, " ".join(said), readmit, uncounted)


def _lane_name(number: int, status: Status | None) -> str:
    lanes = () if status is None else status.lanes
    return next((lane.name for lane in lanes if lane.id == number), str(number))


def _tile(tile: Tile, status: Status, viewer: Viewer) -> TileView:
    said = sentence(tile.code, tile.args, viewer.page)
    return TileView(
        key=f"{tile.part.value}/{tile.name}",
        part=tile.part.value,
        title=_title(tile, status, viewer.page),
        health=tile.health.value,
        health_word=labels(viewer.page)[f"health_{tile.health.value}"],
        text=said.cause,
        fix="" if tile.health is Health.OK else said.fix,
        lane=tile.lane,
        since_s=tile.since_s,
        doubts=int(tile.args.get("number", 0)) if viewer.has_session and tile.code == DOUBTED else 0,
    )


def _title(tile: Tile, status: Status, language: Language) -> str:
    """Name a part as people on the spot do: reader 1 of the lane by its name."""
    part = labels(language)[f"part_{tile.part.value}"]
    lane = next((one.name for one in status.lanes if one.id == tile.lane), "")
    match tile.part:
        case Part.LANE:
            return lane or f"{part} {tile.name}".strip()
        case Part.READER:
            number = tile.name.partition(".")[2].split(" ")[0] or tile.name
            return f"{part} {number} · {lane}" if lane else f"{part} {number}"
        case Part.RELAY | Part.SENSOR:
            return f"{part} “{tile.name}”" if language is Language.EN else f"{part} «{tile.name}»"
        case Part.UPLINK if tile.name == "peers":
            return labels(language)["part_peers"]
        case Part.UPLINK if tile.name == "modem":
            return labels(language)["part_modem"]
        case Part.LIST | Part.LOG | Part.UPLINK | Part.CLOCK:
            return part


def _lane(lane: LaneView, viewer: Viewer) -> LaneShown:
    words = labels(viewer.page)
    return LaneShown(
        id=lane.id,
        name=lane.name,
        state=lane.state,
        state_name=words.get(f"state_{lane.state}", lane.state),
        ready=lane.ready,
        fire=lane.fire,
        busy=lane.busy,
        entries=lane.entries,
        exits=lane.exits,
        has_entry=lane.has_entry,
        has_exit=lane.has_exit,
        states=tuple(StateView(state, words[f"state_{state}"]) for state in STATES),
    )

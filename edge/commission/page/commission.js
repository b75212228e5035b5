// The commissioning page: asks the box once a second how it is, and does what is pressed. Words come with the page.
const $ = (id) => document.getElementById(id);
const words = JSON.parse(document.body.dataset.words);
const lang = document.documentElement.lang;
const EVERY_MS = 700, ASKED_MS = 250, SURE_MS = 4000, LANES_MAX = 16;
const LINES = [1, 2, 4, 8, 16, 32], KINDS = { lcus: "LCUS", kmtronic: "KMTronic", numato: "Numato", modbus: "Modbus RTU", hid: "USBRelay (HID)" };
const BARRIERS = { tripod: words.tripod, speed_gate: words.speed_gate, swing_gate: words.swing_gate, door: words.door, no_sensor: words.no_sensor };
let state = null, drawn = {}, planned = [], seenPlan = "", edited = false, named = false, pulsed = {}, pinned = {}, wiredTo = {}, sized = {}, chosenBefore = "", going = false;

function el(tag, props = {}, ...inner) {
  const made = Object.assign(document.createElement(tag), props);
  made.append(...inner.filter((one) => one !== null && one !== ""));
  return made;
}
const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, key) => values[key]);
const button = (text, press, more = {}) => el("button", { type: "button", textContent: text, onclick: press, ...more });

// A choice of texts by value. The value is set last: options of one that is not in the page yet choose the first by themselves.
function choice(options, value, onchange, more = {}) {
  const made = el("select", { onchange, ...more }, ...options.map(([one, textContent]) => el("option", { value: one, textContent })));
  made.value = String(value);
  return made;
}

const ended = (text) => (/[.!?:)]$/.test(text) ? text : `${text}.`);

function say(text, bad = false) {
  $("said").textContent = text;
  $("said").className = bad ? "bad" : "";
}

async function post(what, body = {}) {
  try {
    const answer = await fetch(what, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
    const told = answer.headers.get("Content-Type")?.includes("json") ? await answer.json() : { text: await answer.text() };
    say(answer.ok ? "" : [told.text, told.fix].filter(Boolean).map(ended).join(" "), !answer.ok);
    await look();
    return answer.ok;
  } catch {
    say(words.failed, true);
    return false;
  }
}
const act = (what, body) => post(`/api/commission/${what}`, body);

// A part is drawn anew only where it differs: what is being typed or pressed stays.
function draw(id, seen, make) {
  const now = JSON.stringify(seen);
  if (drawn[id] === now) return;
  drawn[id] = now;
  $(id).replaceChildren(...make());
}

function device(one) {
  return el("li", {},
    el("header", {}, el("h3", { textContent: one.called }), el("span", { className: `badge${one.listening ? " ok" : ""}`, textContent: one.seat || one.state })),
    el("p", { className: "quiet", textContent: [one.kind, one.place, one.heard ? fill(words.heard, { n: one.heard }) : ""].filter(Boolean).join(" · ") }),
    one.wires ? button(words.remove, () => act("no-wire", { key: one.key })) : null,
    search(one, "osdp"),
    search(one, "modbus"),
    one.wants_key ? button(words.osdp_key, async (e) => { if (!sure(e.currentTarget, words.osdp_key_sure)) return; e.currentTarget.disabled = true; await act("osdp-key", { key: one.key }); drawn.devices = ""; show(); }, { className: "main" }) : null,
    one.is_board ? button(words.no_board, () => act("adapter", { key: one.key, pn532: false })) : null,
    one.adapter && !one.is_board ? el("label", { className: "check-box" }, el("input", { type: "checkbox", checked: one.pn532, onchange: (e) => act("adapter", { key: one.key, pn532: e.target.checked }) }), words.pn532) : null,
    ...one.troubles.map((bad) => el("div", { className: `trouble ${bad.grade}` }, el("p", { textContent: bad.cause }), el("p", { textContent: bad.fix }), ...order(one.key, bad, "serial"))));
}

// What hangs on a bus is looked for where somebody says that there is one; it takes a while, and can be ended.
function search(one, bus) {
  const now = one[bus];
  if (!now) return null;
  if (now === "asking") return button(words.stop_looking, (e) => { e.currentTarget.disabled = true; act(`${bus}-stop`, { key: one.key }); });
  const press = (e) => { if (sure(e.currentTarget, words.osdp_sure)) act(`${bus}-search`, { key: one.key }); };
  return button(words[`${bus}_${now === "first" ? "first" : "again"}`], press, { disabled: now === "busy" });
}

function order(key, one, why) {
  const guide = one.guide ? el("p", { className: "quiet", textContent: `${words.guide} ${one.guide}` }) : null;
  if (!one.programming) return [guide];
  return [el("img", { className: "order", alt: words.order, src: `/api/commission/order.svg?for=${why}&key=${encodeURIComponent(key)}` }), guide, el("p", { className: "quiet", textContent: words.untried })];
}

function seat(one) {
  const where = { lane: one.lane, way: one.way, medium: one.medium };
  const row = el("div", { className: "seat" }, el("p", {}, one.label, one.chosen ? el("b", { textContent: `✓ ${one.chosen}` }) : null));
  row.dataset.seat = `${one.lane}-${one.way}-${one.medium}`;
  if (one.chosen) row.append(button(words.remove, () => act("forget", where)));
  if (one.medium === "barcode") {
    row.append(button(one.chosen ? words.again : words.scan, () => act("ask", where), { className: one.chosen ? "" : "main" }));
    return row;
  }
  const uid = el("input", { name: "uid", maxLength: 64, placeholder: "04:A2:2B:1C:9D:80:00", required: true, autocomplete: "off", spellcheck: false });
  const form = el("form", { className: "row", hidden: true, onsubmit: (e) => { e.preventDefault(); act("ask", { ...where, uid: uid.value }); } }, el("label", { className: "wide" }, words.uid, uid), el("button", { type: "submit", className: "main", textContent: words.tags }));
  row.append(button(words.tags, () => { form.hidden = !form.hidden; if (!form.hidden) uid.focus(); }), form);
  return row;
}

// A board on which contacts may hang. The header's pins are read only after a second tap: a relay on one could close by it.
function inputs(one) {
  const had = sized[one.key] ??= { lines: one.sizes.includes(8) ? 8 : one.sizes[0] };
  if (!one.sizes.includes(had.lines)) had.lines = one.sizes[0];
  const many = one.sizes.length < 2 ? null : el("label", {}, words.sizes, " ", choice(one.sizes.map((n) => [n, n]), had.lines, (e) => { had.lines = Number(e.target.value); }, { disabled: one.watched }));
  const isGpio = one.key.startsWith("gpio:");
  const more = one.watched && isGpio && one.watching < one.sizes[0] ? button(words.all_pins, (e) => { if (sure(e.currentTarget, words.gpio_sure)) act("watch", { key: one.key, lines: had.lines }); }) : null;
  const press = one.watched
    ? button(words.not_here, () => act("watch", { key: one.key, lines: 0 }))
    : button(words.here, (e) => { if (!isGpio || sure(e.currentTarget, words.gpio_sure)) act("watch", { key: one.key, lines: had.lines }); });
  const said = one.watched && one.ok ? (one.active.length ? fill(words.watched, { lines: one.active.join(", ") }) : words.quiet) : one.state;
  return el("article", {}, el("h3", { textContent: `${one.called} · ${one.place}` }), el("div", { className: "row" }, many, press, more), said ? el("p", { className: `quiet${one.state ? " warn" : ""}`, textContent: said }) : null);
}

function contact(lane, one) {
  const where = { lane: lane.id, contact: one.contact };
  const more = [one.wired, one.moves ? fill(words.moved, { n: one.moves }) : "", one.active ? words.active : ""].filter(Boolean).join(" · ");
  const row = el("div", { className: "seat" }, el("p", {}, one.label, one.wired ? el("b", { textContent: `✓ ${more}` }) : null));
  row.dataset.contact = `${lane.id}-${one.contact}`;
  if (one.wired) row.append(button(words.remove, () => act("unwire", where)));
  row.append(button(one.wired ? words.again : words.move, () => act("move", where), { className: one.wired ? "" : "main" }));
  return row;
}

function board(one) {
  const had = pulsed[one.key] ??= { driver: one.board, lines: one.lines || 4, line: null };
  // Boards that were found say what they are; several are numbered through, and named by their addresses.
  const units = one.units.length > 1 ? one.units : [0];
  if (one.units.length && had.units !== String(one.units)) Object.assign(had, { driver: "modbus", lines: one.lines, units: String(one.units) });
  const called = (line) => (units[0] ? `${units[Math.floor(line / had.lines)]}.${line % had.lines + 1}` : line + 1);
  const kind = choice(Object.entries(KINDS), had.driver, (e) => { had.driver = e.target.value; }, { disabled: one.units.length > 0 });
  const many = choice([...new Set([...LINES, had.lines])].sort((a, b) => a - b).map((n) => [n, n]), had.lines, (e) => { had.lines = Number(e.target.value); drawn.boards = ""; show(); }, { disabled: units[0] > 0 });
  const lines = [...Array(had.lines * units.length).keys()].map((line) => button(fill(words.pulse, { line: called(line) }), async (e) => {
    if (!sure(e.currentTarget)) return;
    e.currentTarget.disabled = true;
    const done = await act("pulse", { key: one.key, driver: had.driver, lines: had.lines, line });
    had.line = done ? line : null;
    drawn.boards = "";
    show();
  }));
  const card = el("article", {}, el("h3", { textContent: `${one.called} · ${one.place}` }),
    el("div", { className: "row" }, el("label", {}, words.kind, " ", kind), el("label", {}, words.lines, " ", many)),
    one.timer === null ? null : el("label", { className: "check-box" }, el("input", { type: "checkbox", name: "no_timer", checked: !one.timer, onchange: (e) => act("modbus-timer", { key: one.key, has_timer: !e.target.checked }) }), words.no_timer),
    el("div", { className: "row pulses" }, ...lines));
  if (had.line !== null) {
    const outputs = state.lanes.flatMap((lane) => lane.outputs);
    const done = () => { had.line = null; drawn.boards = ""; show(); };
    card.append(el("div", { className: "turned" }, el("h3", { textContent: `${fill(words.pulse, { line: called(had.line) })}: ${words.turned}` }), el("div", { className: "row" },
      ...outputs.map((out) => button(out.label, async () => { if (await act("turned", { key: one.key, line: had.line, lane: out.lane, way: out.way })) done(); })),
      button(words.nothing, done))));
  }
  return card;
}

// A line of a GPIO chip: it is pulsed away from where it stands and back, and what the arm did says which level means on.
function pins(one) {
  const had = pinned[one.chip] ??= { offset: one.offsets[0], asks: false, inverse: false };
  const again = () => { drawn.pins = ""; show(); };
  const which = choice(one.offsets.map((n) => [n, `GPIO ${n}`]), had.offset, (e) => { had.offset = Number(e.target.value); had.asks = false; again(); });
  const press = button(words.pin_pulse, async (e) => {
    if (!sure(e.currentTarget, words.pin_sure)) return;
    e.currentTarget.disabled = true;
    had.asks = await act("pulse-pin", { chip: one.chip, offset: had.offset });
    had.inverse = false;
    again();
  });
  const card = el("article", {}, el("h3", { textContent: `GPIO · ${one.chip}` }), el("div", { className: "row" }, el("label", {}, words.pin, " ", which), press));
  if (!had.asks) return card;
  const end = () => { had.asks = false; again(); };
  card.append(el("div", { className: "turned" }, el("h3", { textContent: `GPIO ${had.offset}: ${words.unlocked}` }),
    el("label", { className: "check-box" }, el("input", { type: "checkbox", name: "inverse", checked: had.inverse, onchange: (e) => { had.inverse = e.target.checked; } }), words.inverse),
    el("div", { className: "row" }, ...state.lanes.flatMap((lane) => lane.outputs).map((out) => button(out.label, async () => { if (await act("unlocked", { chip: one.chip, offset: had.offset, lane: out.lane, way: out.way, inverse: had.inverse })) end(); })), button(words.nothing, end))));
  return card;
}

// D0 and D1 of a Wiegand reader: nothing on a line can be asked, so a person says where they are, and a card then shows that it is so.
function wires(one) {
  const had = wiredTo[one.chip] ??= { d0: one.wires[0], d1: one.wires[1], bits: 26 };
  const lines = one.wires.map((n) => [n, `GPIO ${n}`]);
  const which = (name, key) => el("label", {}, name, " ", choice(lines, had[key], (e) => { had[key] = Number(e.target.value); }));
  const press = (e) => { if (sure(e.currentTarget, words.gpio_sure)) act("wire", { chip: one.chip, ...had }); };
  return el("article", {}, el("h3", { textContent: `${words.wiegand} · ${one.chip}` }), el("p", { className: "quiet", textContent: words.wires_why }),
    el("div", { className: "row" }, which("D0", "d0"), which("D1", "d1"), el("label", {}, "Bits ", choice([26, 34, 37].map((n) => [n, n]), had.bits, (e) => { had.bits = Number(e.target.value); })), button(words.wire, press)));
}

// A press that opens a barrier asks once more; the second must come soon.
function sure(pressed, ask = words.pulse_sure) {
  if (pressed.classList.contains("sure")) return true;
  const before = pressed.textContent;
  pressed.classList.add("sure");
  pressed.textContent = ask;
  setTimeout(() => { if (pressed.isConnected && !pressed.disabled) { pressed.classList.remove("sure"); pressed.textContent = before; } }, SURE_MS);
  return false;
}

// What is being typed stays, until the lanes are set: here, or by somebody at another phone, whose lanes would be lost by it.
function plan() {
  const lanes = state.lanes.map(({ name, two_way, kind }) => ({ name, two_way, kind })), now = JSON.stringify(lanes);
  if (now !== seenPlan) {
    if (edited && now !== JSON.stringify(planned)) say(words.other_plan, true);
    planned = lanes.length ? lanes : [{ name: `${words.lane} 1`, two_way: false, kind: "tripod" }];
    seenPlan = now;
    edited = false;
  }
  draw("plan-lanes", [seenPlan, planned.length], () => planned.map((lane, at) => el("div", { className: "plan" },
    el("label", {}, `${words.lane} ${at + 1}: ${words.name}`, el("input", { value: lane.name, maxLength: 64, required: true, oninput: (e) => { lane.name = e.target.value; edited = true; } })),
    el("label", {}, words.barrier, choice(Object.entries(BARRIERS), lane.kind, (e) => { lane.kind = e.target.value; edited = true; })),
    el("label", { className: "check-box" }, el("input", { type: "checkbox", checked: lane.two_way, onchange: (e) => { lane.two_way = e.target.checked; edited = true; } }), words.two_way))));
  $("drop").hidden = planned.length < 2;
  $("add").hidden = planned.length >= LANES_MAX;
}

function asked() {
  const one = state.asked;
  $("asked").hidden = !one;
  if (!one) { $("shown").removeAttribute("src"); drawn.asked = ""; return; }
  const [head, text] = $("asked").querySelectorAll("h3, p");
  head.textContent = one.label;
  text.textContent = one.said;
  $("shown").hidden = !one.code;
  const what = one.code || one.label;
  if (drawn.asked === what) return;
  drawn.asked = what;
  if (one.code) $("shown").src = `/api/commission/code.svg?${one.code.slice(-6)}`;
  else $("shown").removeAttribute("src");
  $("asked").scrollIntoView({ block: "nearest" });
}

function show() {
  $("pin-form").hidden = state.session;
  $("work").hidden = !state.session;
  if (!state.session) return;
  $("enrol").hidden = state.enrolled;
  if (!named && document.activeElement !== $("gate-name")) $("gate-name").value = state.name; // not under whoever types another
  $("none").hidden = state.devices.length > 0;
  draw("devices", state.devices, () => state.devices.map(device));
  plan();
  const has = state.lanes.length > 0;
  for (const part of ["part-readers", "part-outputs", "part-contacts", "part-go", "part-anew"]) $(part).hidden = !has;
  asked();
  draw("seats", state.lanes.map(({ contacts: _, ...lane }) => lane), () => state.lanes.map((lane) => el("article", {}, el("h3", { textContent: lane.name }), ...lane.seats.map(seat), ...lane.lamps.map((text) => el("p", { className: "quiet", textContent: text })), ...lane.others.map((one) => el("div", { className: "seat" }, el("p", { textContent: one.label }), button(words.remove, () => act("drop", { lane: one.lane, number: one.number })))))));
  const alone = state.boards.filter((one) => one.watched).map((one) => one.key);
  const boards = state.devices.filter((one) => one.board && !one.seat && (one.is_board || !alone.includes(one.key)));
  $("outputs-none").hidden = boards.length > 0 || state.pins.length > 0;
  $("outputs-why").hidden = !$("outputs-none").hidden;
  const opened = state.lanes.flatMap((lane) => lane.outputs).filter((one) => one.line).map((one) => `✓ ${one.label} · ${one.line}`);
  draw("opened", opened, () => opened.map((text) => el("li", { className: "ok", textContent: text })));
  draw("boards", [boards.map((one) => [one.key, one.units, one.units.length && one.lines, one.timer]), state.lanes.map((one) => one.outputs)], () => boards.map(board));
  draw("pins", [state.pins, state.lanes.map((one) => one.outputs)], () => state.pins.map(pins));
  const chips = state.pins.filter((one) => one.wires.length > 1);
  draw("wires", chips.map(({ chip, wires: lines }) => [chip, lines]), () => { wiredTo = {}; return chips.map(wires); });
  draw("kept", state.kept, () => (state.kept.length ? [el("div", { className: "panel" }, ...state.kept.map((text) => el("p", { textContent: text })))] : []));
  $("pulses").hidden = !state.pulses;
  $("pulses").textContent = fill(words.pulses, { n: state.pulses });
  draw("inputs", state.boards, () => state.boards.map(inputs));
  const watched = state.boards.some((one) => one.watched) || state.lanes.some((lane) => lane.contacts.some((one) => one.wired));
  $("contacts-none").hidden = watched;
  draw("contacts", [watched, state.lanes.map((one) => one.contacts)], () => (watched ? state.lanes.map((lane) => el("article", {}, el("h3", { textContent: lane.name }), ...lane.contacts.map((one) => contact(lane, one)))) : []));
  $("part-locks").hidden = !has || !state.locks.length;
  draw("locks", state.locks, () => state.locks.map((one) => el("li", {}, el("h3", { textContent: one.called }), ...order(one.key, one, "lock").filter(Boolean))));
  const wanting = [...state.missing, ...state.unplugged];
  draw("missing", wanting, () => (wanting.length ? wanting.map((text) => el("li", { textContent: text })) : [el("li", { className: "ok", textContent: `✓ ${words.complete}` })]));
  $("path").textContent = state.path;
  $("write").disabled = going || state.missing.length > 0;
  const now = JSON.stringify(state.lanes.map((lane) => [lane.seats.map((one) => one.chosen), lane.contacts.map((one) => one.wired)]));
  const found = state.lanes.flatMap((lane) => [...lane.seats.map((one) => one.chosen), ...lane.contacts.map((one) => one.wired)]).filter(Boolean).length;
  if (chosenBefore && now !== chosenBefore && !state.asked && found) say(`✓ ${words.chosen}`);
  chosenBefore = now;
}

async function look() {
  try {
    const answer = await fetch("/api/commission");
    if (going && !answer.ok) { location.replace("/"); return; } // the gate is there: it knows no such page
    if (!answer.ok) throw new Error(String(answer.status));
    state = await answer.json();
    $("lost").hidden = true;
    show();
  } catch {
    if (going) return; // the gate comes up
    $("lost").textContent = words.failed;
    $("lost").hidden = false;
  }
}

$("pin-form").onsubmit = async (e) => { e.preventDefault(); await post("/api/pin", { pin: $("pin").value }); $("pin").value = ""; };
// The line that the centre shows for the box may be pasted whole: its address and its code go where they belong.
$("enrol").oninput = (e) => {
  const [, url, code] = e.target.name === "url" && /(\S+)\s+(\S+)\s*$/.exec(e.target.value) || [];
  if (url) { e.target.value = url; $("enrol").elements.code.value = code; }
};
$("enrol").onsubmit = async (e) => {
  e.preventDefault();
  const press = e.target.querySelector("button"), given = new FormData(e.target), url = given.get("url").trim();
  press.disabled = true;
  await act("enrol", { url: /^[a-z]+:\/\//i.test(url) ? url : `https://${url}`, code: given.get("code").trim() });
  press.disabled = false;
};
$("gate-name").oninput = () => { named = true; };
$("plan").onsubmit = async (e) => { e.preventDefault(); if (await act("plan", { name: $("gate-name").value, lanes: planned })) edited = named = false; };
$("add").onclick = () => { edited = true; planned.push({ name: `${words.lane} ${planned.length + 1}`, two_way: false, kind: planned.at(-1).kind }); plan(); };
$("drop").onclick = () => { edited = true; planned.pop(); plan(); };
$("stop").textContent = words.stop;
$("stop").onclick = () => act("stop");
$("anew").textContent = words.anew;
$("anew").onclick = async (e) => { if (sure(e.currentTarget, words.anew_sure) && await act("anew")) location.reload(); };
$("write").onclick = async () => { $("write").disabled = true; going = await act("write"); if (going) say(words.started); else show(); };
for (const link of document.querySelectorAll("nav a")) if (link.lang === lang) link.setAttribute("aria-current", "true");
// Somebody who holds a card to a reader or walks through waits for the answer: then it is looked for more often.
async function follow() {
  await look();
  setTimeout(follow, state?.asked ? ASKED_MS : EVERY_MS);
}
follow();

// The technician's page. The box says everything in words; this only shows it, and sends what is pressed.
import { follow } from "./stream.js";

const $ = (id) => document.getElementById(id);
const words = JSON.parse(document.body.dataset.words);
const lang = document.documentElement.lang;
const locale = { de: "de-CH", fr: "fr-CH", it: "it-CH" }[lang] ?? "en-GB";
const OPENS = new Set(["free_exit", "free_both", "emergency", "rehearsal", "out_of_service", "closed"]);
const SHAPES = {
  ok: "ready", degraded: "degraded", bad: "not_ready", off: "off",
  admit: "ready", exit: "exit", already_used: "twice", refused: "not_ready", check: "degraded", not_ready: "not_ready", wait: "wait", undone: "off",
};
const SCANS_MAX = 100;
const SURE_MS = 4000;
const DOUBLE_MS = 500; // a double tap is one wish
const READ_MS = 30000; // what was refused stays in view, but not for ever: it lies over what is below
const LOST_MS = 35000; // two heartbeats and a bit: the box is gone although the connection looks open
const LOOK_MS = 5000;

const clock = new Intl.DateTimeFormat(locale, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const moment = new Intl.DateTimeFormat(locale, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
const figures = new Intl.NumberFormat(locale);
const at = (seconds) => (Date.now() / 1000 - seconds < 43200 ? clock : moment).format(seconds * 1000);

let status = null;
let lostSince = null;

// Writes only where something differs: a screen reader is not told the same twice.
const put = (node, text) => { if (node.textContent !== text) node.textContent = text; };
const shape = (node, name) => node.querySelector("use").setAttribute("href", `#${name}`);
const clone = (id) => $(id).content.firstElementChild.cloneNode(true);

// --- what is shown ------------------------------------------------------------------------------------------------

function show(now) {
  if (status?.session && !now.session && !now.scans) listen(); // it ended by itself: what it showed of scans is told anew without it
  status = now;
  put($("name"), now.name);
  document.title = `${now.verdict.title} · ${now.name}`;
  const box = $("verdict");
  box.className = now.verdict.word;
  shape(box, now.verdict.word);
  put($("word"), now.verdict.title);
  put($("cause"), now.verdict.cause);
  put($("fix"), now.verdict.fix);
  $("lock").hidden = $("staff").hidden = $("box").hidden = $("one").hidden = !now.session;
  if (!now.session) for (const told of [$("story"), ...document.querySelectorAll(".told")]) told.replaceChildren();
  $("unlock").hidden = now.session;
  if (now.session) openPin(false);
  $("called").hidden = now.alerts.length === 0;
  keyed($("alerts"), now.alerts, (alert) => alert.number, newAlert, showAlert);
  put($("inside"), now.inside.map((zone) => `${zone.name}: ${zone.text}`).join(" · "));
  $("fires").hidden = now.fires.length === 0;
  keyed($("fire-zones"), now.fires, (zone) => zone.id, newFire, showFire);
  keyed($("lanes"), now.lanes, (lane) => lane.id, newLane, showLane);
  keyed($("tiles"), order(now.tiles), (tile) => tile.key, newTile, showTile);
  $("anew").hidden = !now.session || now.inside.length === 0;
  keyed($("zones"), now.inside, (zone) => zone.id, newZone, showZone);
  put($("gate"), String(now.gate));
  put($("version"), now.version);
  put($("epoch"), now.epoch);
  put($("started"), now.started_s ? moment.format(now.started_s * 1000) : "");
  put($("list"), `${figures.format(now.list_rows)} (v${now.list_version})`);
  put($("records"), figures.format(now.records));
  if (now.scans) {
    keyed($("scans"), now.scans, (scan) => scan.key, () => newScan(), fillScan);
    $("scans-none").hidden = now.scans.length > 0;
  }
}

// Keeps the nodes of things that stay, so that focus and open details stay too.
function keyed(parent, items, keyOf, make, fill) {
  const before = new Map([...parent.children].map((node) => [node.dataset.key, node]));
  items.forEach((item, index) => {
    const key = String(keyOf(item));
    const node = before.get(key) ?? make(item);
    before.delete(key);
    node.dataset.key = key;
    fill(node, item);
    if (parent.children[index] !== node) parent.insertBefore(node, parent.children[index] ?? null);
  });
  for (const node of before.values()) node.remove();
}

// What is unwell first; a lane that is well has its card above and needs no tile.
const RANK = { bad: 0, degraded: 1, ok: 2, off: 3 };
const order = (tiles) => tiles.filter((tile) => tile.part !== "lane" || tile.health !== "ok").sort((a, b) => RANK[a.health] - RANK[b.health]);

// Somebody looked at a gate that claimed more than its lanes can: what it says counts again.
function newTile() {
  const node = clone("t-tile");
  const button = node.querySelector(".believe");
  button.textContent = words.believe;
  sure(button, true, () => { if (hasSteward()) send(`gate/${button.dataset.gate}/believe`, {}); });
  return node;
}

function showTile(node, tile) {
  node.className = tile.health;
  shape(node, SHAPES[tile.health]);
  put(node.querySelector("h3"), `${tile.title}: ${tile.health_word}`);
  put(node.querySelector(".text"), tile.text);
  put(node.querySelector(".fix"), tile.fix);
  const button = node.querySelector(".believe");
  button.hidden = !tile.doubts;
  button.dataset.gate = tile.doubts;
  put(node.querySelector(".since"), tile.health !== "ok" && tile.since_s ? `${words.since} ${at(tile.since_s)}` : "");
}

const setTime = (time, seconds) => { put(time, at(seconds)); time.dateTime = new Date(seconds * 1000).toISOString(); };

function newScan() {
  const node = clone("t-scan");
  const button = node.querySelector(".annul");
  button.textContent = words.annul;
  button.addEventListener("click", () => askWhy(node, button));
  const story = node.querySelector(".story");
  const told = node.querySelector(".told");
  story.addEventListener("click", async () => {
    if (told.firstChild) told.replaceChildren(); else await tell(told, `${node.scan.epoch}/${node.scan.seq}`);
    fillScan(node, node.scan);
  });
  return node;
}

// One ticket over all gates, told below what was pressed.
async function tell(told, which) {
  const answer = await fetch(`/api/timeline/${which}?lang=${lang}`).then((one) => one.json()).catch(() => ({ ok: false, text: words.failed, fix: "" }));
  if (!Array.isArray(answer)) { say(answer); told.replaceChildren(); if (answer.code === "page.no_session") listen(); return; }
  told.replaceChildren(...answer.map(({ title, rows }) => {
    const story = clone("t-story");
    story.querySelector("h3").textContent = title;
    for (const { time_s, text } of rows) {
      const [row, time] = [document.createElement("li"), document.createElement("time")];
      setTime(time, time_s);
      row.append(time, Object.assign(document.createElement("p"), { textContent: text }));
      story.querySelector("ol").append(row);
    }
    return story;
  }));
}

// The same row again is a correction: a wait that became a grant, or what became of somebody who was let through.
function fillScan(node, scan) {
  node.scan = scan;
  node.className = scan.display;
  shape(node, SHAPES[scan.display] ?? "off");
  put(node.querySelector("h3"), scan.title);
  const more = [...scan.flags, ...(scan.ticket ? [`${words.ticket} ${scan.ticket}`] : [])];
  put(node.querySelector(".text"), scan.steward);
  put(node.querySelector(".hint"), [scan.product, scan.where, ...more].filter(Boolean).join(" · "));
  setTime(node.querySelector("time"), scan.time_s);
  const story = node.querySelector(".story");
  story.hidden = !scan.ticket || !scan.seq;
  put(story, node.querySelector(".told").firstChild ? words.hide : words.timeline);
  const form = node.querySelector("form");
  if (form && !scan.may_annul) form.remove();
  node.querySelector(".annul").hidden = !scan.may_annul || (form !== null && form.isConnected);
}

// An admission is taken back with a reason, asked for in its own row.
function askWhy(node, button) {
  const form = clone("t-annul");
  form.querySelector(".l-why").textContent = words.why;
  const [go, cancel] = form.querySelectorAll("button");
  go.textContent = words.annul;
  cancel.textContent = words.cancel;
  cancel.addEventListener("click", () => { form.remove(); button.hidden = false; button.focus(); });
  once(form, async () => {
    const { lane, epoch, seq } = node.scan;
    await send(`lane/${lane}/annul`, { epoch, seq, reason: form.reason.value });
  });
  button.hidden = true;
  button.after(form);
  form.reason.focus();
}

function showScan(scan) {
  $("scans-none").hidden = true;
  let node = [...$("scans").children].find((one) => one.dataset.key === scan.key);
  if (node) { fillScan(node, scan); return; }
  node = newScan();
  node.dataset.key = scan.key;
  fillScan(node, scan);
  node.classList.add("new");
  $("scans").prepend(node);
  while ($("scans").children.length > SCANS_MAX) $("scans").lastElementChild.remove();
}

function newAlert(alert) {
  const node = clone("t-alert");
  const button = node.querySelector("button");
  button.textContent = words.seen;
  button.addEventListener("click", () => send(`alert/${alert.number}/acknowledge`, null));
  return node;
}

function showAlert(node, alert) {
  put(node.querySelector("h3"), alert.count > 1 ? `${alert.title} (${alert.count}×)` : alert.title);
  put(node.querySelector(".text"), alert.fix);
  put(node.querySelector(".hint"), alert.where);
  setTime(node.querySelector("time"), alert.time_s);
  node.querySelector("button").hidden = !status.session;
}

const people = (count) => count === 1 ? words.person : words.people.replace("{n}", figures.format(count));

// So many are inside, counted by hand: asked for after a fire alarm, and possible at any time.
function counts(node, zone) {
  const form = node.querySelector(".count");
  form.querySelector("span").textContent = words.people_counted.replace("{zone}", zone.name);
  form.querySelector("button").textContent = words.count;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (!hasSteward()) return;
    await send(`zone/${zone.id}/count`, { people: Number(form.people.value) });
    form.people.value = "";
  });
}

function newFire(zone) {
  const node = clone("t-fire");
  const button = node.querySelector(".readmit");
  let asked = ""; // what was on the button at the first tap: the state may change before the second
  sure(button, true, () => { if (hasSteward()) send(`zone/${zone.id}/readmission`, { open: asked === "open" }); }, () => { asked = button.dataset.readmit; return words.tap_again; });
  counts(node, zone);
  return node;
}

function showFire(node, zone) {
  put(node.querySelector("h3"), zone.name);
  put(node.querySelector(".text"), zone.text);
  const button = node.querySelector(".readmit");
  button.hidden = !status.session || !zone.readmit;
  button.dataset.readmit = zone.readmit;
  const label = zone.readmit && words[`readmit_${zone.readmit}`];
  if (label && button.classList.contains("sure")) button.dataset.label = label;
  else if (label) put(button, label);
  node.querySelector(".count").hidden = !status.session || !zone.count;
}

function newZone(zone) {
  const node = clone("t-zone");
  const button = node.querySelector(".empty");
  counts(node, zone);
  sure(button, true, () => { if (hasSteward()) send(`zone/${zone.id}/reset`, {}); }, () => words.reset_sure.replace("{people}", button.dataset.people));
  return node;
}

function showZone(node, zone) {
  const button = node.querySelector(".empty");
  button.dataset.people = zone.high === null ? words.nobody_knows : people(zone.high);
  if (!button.classList.contains("sure")) put(button, words.reset.replace("{zone}", zone.name));
}

function newLane(lane) {
  const node = clone("t-lane");
  const group = node.querySelector(".switch");
  for (const { state, label } of lane.states) {
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.state = state;
    button.textContent = label;
    sure(button, OPENS.has(state), () => send(`lane/${lane.id}/state`, { state }));
    group.append(button);
  }
  const fire = node.querySelector(".fire");
  fire.textContent = words.clear_fire;
  sure(fire, true, () => send(`lane/${lane.id}/fire`, {}));
  node.querySelector(".tests summary").textContent = words.tests;
  for (const [direction, has, label] of [[1, lane.has_entry, words.pulse_entry], [2, lane.has_exit, words.pulse_exit]]) {
    if (!has) continue;
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.pulse = direction;
    button.textContent = label;
    sure(button, true, () => send(`lane/${lane.id}/pulse`, { direction }));
    node.querySelector(".pulses").append(button);
  }
  node.querySelector(".l-why").textContent = words.why;
  node.querySelector(".l-count").textContent = words.persons;
  node.querySelector(".l-code").textContent = words.code;
  node.querySelector(".admit").textContent = words.admit;
  const form = node.querySelector(".by-hand");
  form.hidden = !lane.has_entry;
  once(form, async () => {
    const done = send(`lane/${lane.id}/admit`, { direction: 1, reason: form.reason.value, count: Number(form.count.value), code: form.code.value.trim() });
    form.code.value = ""; // the next one has another ticket
    await done;
  });
  return node;
}

function showLane(node, lane) {
  put(node.querySelector("h3"), lane.name);
  const badge = node.querySelector(".badge");
  badge.className = `badge ${lane.fire || lane.state === "emergency" ? "bad" : lane.state !== "controlled" ? "degraded" : lane.ready ? "ok" : "bad"}`;
  put(badge, lane.fire ? words.fire : lane.state_name);
  put(node.querySelector(".in"), figures.format(lane.entries));
  put(node.querySelector(".out"), figures.format(lane.exits));
  node.querySelector(".out").parentNode.hidden = !lane.has_exit && !lane.exits;
  put(node.querySelector(".note"), lane.busy ? words.busy : "");
  node.querySelector(".switch").setAttribute("aria-label", lane.name);
  node.querySelector(".switch").hidden = !status.session;
  node.querySelector(".tests").hidden = !status.session;
  node.querySelector("[name=count]").max = status.admit_max;
  node.querySelector(".fire").hidden = !status.session || !lane.fire;
  for (const button of node.querySelectorAll(".switch button")) button.setAttribute("aria-pressed", String(button.dataset.state === lane.state));
}

// --- what is pressed ----------------------------------------------------------------------------------------------

// What moves an arm or lets nobody pass asks for a second tap: a phone in a pocket presses too. What follows the first at
// once is part of it, a key held down as well.
function sure(button, twice, act, ask = () => words.tap_again) {
  let [timer, soon] = [0, 0];
  const ready = () => button.removeAttribute("aria-disabled");
  const calm = () => { for (const one of [timer, soon]) clearTimeout(one); timer = 0; ready(); button.classList.remove("sure"); if (button.dataset.label) button.textContent = button.dataset.label; };
  button.addEventListener("keydown", (event) => { if (event.repeat && event.key === "Enter") event.preventDefault(); });
  button.addEventListener("click", () => {
    if (!twice || (timer && !button.ariaDisabled)) { calm(); act(); return; }
    if (!timer) {
      button.dataset.label = button.textContent;
      button.textContent = ask();
      button.classList.add("sure");
      button.setAttribute("aria-disabled", "true");
    }
    for (const one of [timer, soon]) clearTimeout(one);
    soon = setTimeout(ready, DOUBLE_MS);
    timer = setTimeout(calm, SURE_MS);
  });
}

// A form that carries a steward's number. What is under way, or was sent a moment ago, is not sent again.
function once(form, act) {
  let busy = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (busy || !hasSteward()) return;
    busy = true;
    await Promise.all([act(), new Promise((later) => { setTimeout(later, DOUBLE_MS); })]);
    busy = false;
  });
}

const steward = () => Number($("steward").value) || 0;

// What is counted against a number needs one.
function hasSteward() {
  if (steward()) return true;
  say({ ok: false, text: words.number, fix: "" });
  $("steward").focus();
  return false;
}

async function post(path, body) {
  try {
    const answer = await fetch(`${path}?lang=${lang}`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
    const text = await answer.text();
    return text.startsWith("{") ? JSON.parse(text) : { ok: answer.ok, text: text.trim(), fix: "" };
  } catch {
    return { ok: false, text: words.failed, fix: "" };
  }
}

let quietly = 0;
function say(answer) {
  $("said").className = answer.ok ? "" : "bad";
  $("said").textContent = answer.ok ? words.done : `${answer.text}. ${answer.fix ?? ""}`.trim();
  clearTimeout(quietly);
  quietly = setTimeout(() => { $("said").textContent = ""; }, answer.ok ? SURE_MS : READ_MS);
}

async function send(what, body) {
  const answer = await post(`/api/${what}`, body ? { ...body, steward: steward() } : {});
  say(answer);
  if (answer.code === "page.no_session") listen();
}

function openPin(open) {
  if ($("pin-form").hidden !== open) return;
  $("pin-form").hidden = !open;
  $("unlock").setAttribute("aria-expanded", String(open));
  $("pin").value = "";
  $("pin-said").textContent = "";
  if (open) $("pin").focus();
}

$("unlock").addEventListener("click", () => openPin($("pin-form").hidden));
$("pin-cancel").addEventListener("click", () => { openPin(false); $("unlock").focus(); });
$("pin-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const answer = await post("/api/pin", { pin: $("pin").value });
  $("pin").value = "";
  if (answer.ok) { listen(); return; }
  $("pin-said").textContent = `${answer.text}. ${answer.fix}`;
  $("pin").focus();
});
$("lock").addEventListener("click", async () => { await post("/api/logout", {}); listen(); });
$("reasons").addEventListener("change", () => listen());
$("go").addEventListener("submit", async (event) => {
  event.preventDefault();
  const answer = await fetch(`/api/go?lang=${lang}&since=${$("go").since.value}`).then((one) => one.json()).catch(() => ({ text: words.failed }));
  const lines = [answer.text, ...(answer.lanes ?? [])].map((text) => Object.assign(document.createElement("p"), { textContent: text }));
  $("go-said").className = answer.go ? "ok" : "bad";
  $("go-said").replaceChildren(...lines);
});
$("story-of").addEventListener("submit", (event) => { event.preventDefault(); tell($("story"), $("story-of").number.value.trim()); });
sure($("sync"), false, () => send("box/sync", {}));
sure($("identify"), false, () => send("box/identify", {}));
sure($("set-up"), true, () => { if (hasSteward()) send("box/anew", {}); }, () => words.set_up_sure);
sure($("restart"), true, () => send("box/restart", {}), () => words.restart_sure);

// --- the live stream ----------------------------------------------------------------------------------------------

function alive() {
  lostSince = null;
  $("lost").hidden = true;
  document.body.classList.remove("stale");
}

function lost() {
  lostSince ??= new Date();
  put($("lost"), `${words.lost} ${clock.format(lostSince)}`);
  $("lost").hidden = false;
  document.body.classList.add("stale");
}

for (const link of document.querySelectorAll("nav a")) if (link.lang === lang) link.setAttribute("aria-current", "true");
$("reasons").value = lang;
const listen = follow({
  address: () => `/api/events?lang=${lang}&reasons=${$("reasons").value}`,
  silentMs: LOST_MS,
  stillMs: LOST_MS,
  lookMs: LOOK_MS,
  alive,
  lost,
  status: show,
  seen: showScan,
});

// The demo page: picks a ticket, holds it up, shows what the venue says over one event stream.

import { LANGUAGES, of } from "./words.js";
import { Scene } from "./scene.js";

const $ = (id) => document.getElementById(id);
const GROUPS = ["in", "check", "out", "tag"];
const PLACES = ["1-entry", "1-exit", "1-tags", "2-entry"];
const ICONS = {
  admit: "M4 12.5 9.5 18 20 6.5",
  refused: "M6 6l12 12M18 6 6 18",
  already_used: "M6 6l12 12M18 6 6 18",
  check: "M12 5v9M12 18.5v.5",
  wait: "M12 6v6l4 3",
  not_ready: "M5 12h14",
  idle: "M12 5v11m-5-5 5 5 5-5",
};

let language = navigator.languages.map((one) => one.slice(0, 2)).find((one) => LANGUAGES.includes(one)) || "en";
let words = of(language);
let tickets = [];
let picked = null;
let place = "1-entry";
let state = null;
let lostTimer = 0;
const scene = new Scene($("scene"));

function el(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value === true) node.setAttribute(key, "");
    else if (value !== false) node.setAttribute(key, value);
  }
  node.append(...children);
  return node;
}

const text = (node, value) => { if (node.textContent !== value) node.textContent = value; };

async function post(what, body) {
  try {
    const answer = await fetch(`/api/${what}`, {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
    });
    return await answer.json();
  } catch {
    return { ok: false, why: "" };
  }
}

// --- picking ---------------------------------------------------------------------------------------------------------

function pick(ticket) {
  picked = ticket;
  if (ticket && ticket.medium === "uid") place = "1-tags";
  else if (ticket && place === "1-tags") place = "1-entry";
  $("pick").classList.remove("open");
  $("open-list").setAttribute("aria-expanded", "false");
  text($("why"), "");
  showPicked();
}

function drawTickets() {
  const list = $("tickets");
  list.replaceChildren();
  for (const group of [...GROUPS, "other"]) {
    const rows = group === "other" ? [null] : tickets.filter((one) => one.group === group);
    list.append(el("h3", { class: `group ${group}` }, words[group]));
    for (const one of rows) {
      const label = one ? (language === "de" ? one.de : one.en) : words.own;
      list.append(el("button", {
        type: "button", class: "ticket-row", "data-key": one ? one.key : "own", onclick: () => pick(one),
      }, label));
    }
  }
}

function showPicked() {
  const own = !picked;
  const label = own ? words.own : language === "de" ? picked.de : picked.en;
  for (const row of document.querySelectorAll(".ticket-row")) {
    row.setAttribute("aria-pressed", String(row.dataset.key === (own ? "own" : picked.key)));
  }
  text($("picked"), label);
  text($("label"), label);
  $("own").hidden = !own;
  $("shown").hidden = own;
  if (own) {
    text($("expect"), words.expect_own);
    $("expect").className = "";
  } else {
    text($("expect"), words.expect + picked.said[language][0]);
    $("expect").className = picked.said.display;
    text($("shown"), picked.data);
  }
  drawCode();
  drawPlaces();
  if (state) show();
}

function drawCode() {
  const content = picked ? picked.data : $("text").value;
  const tag = picked ? picked.medium === "uid" : place === "1-tags";
  $("code").classList.toggle("tag", tag);
  if (tag || !content) {
    const hint = tag ? "NFC" : "?";
    $("code").replaceChildren(el("span", { "aria-hidden": "true" }, hint));
    return;
  }
  const source = picked ? `/qr.svg?key=${encodeURIComponent(picked.key)}` : `/qr.svg?text=${encodeURIComponent(content)}`;
  const old = $("code").querySelector("img");
  if (!old || old.getAttribute("src") !== source) $("code").replaceChildren(el("img", { src: source, alt: "QR" }));
}

function drawPlaces() {
  const box = $("places");
  box.setAttribute("aria-label", words.place);
  const old = [...box.children].map((one) => one.textContent).join();
  const wanted = PLACES.map((one) => words[one]).join();
  if (old !== wanted) {
    box.replaceChildren(...PLACES.map((one) => el("button", {
      type: "button", role: "radio", "data-place": one,
      onclick: () => { place = one; text($("why"), ""); drawPlaces(); drawCode(); if (state) show(); },
    }, words[one])));
  }
  for (const button of box.children) {
    button.setAttribute("aria-checked", String(button.dataset.place === place));
    const tag = button.dataset.place === "1-tags";
    button.disabled = Boolean(picked) && (picked.medium === "uid") !== tag;
  }
}

async function present() {
  const button = $("present");
  button.disabled = true;
  const asked = picked ? { place, key: picked.key } : { place, text: $("text").value };
  const answer = await post("present", asked);
  button.disabled = false;
  text($("why"), answer.ok ? "" : words[`why_${answer.why}`] || words.lost);
  if (answer.ok && matchMedia("(max-width: 759px)").matches) {
    $("stage").scrollIntoView({ behavior: "smooth", block: "center" });
  }
}

// --- the lane --------------------------------------------------------------------------------------------------------

const laneOf = () => state.lanes.find((one) => one.id === Number(place[0]));

function answerOf(lane) {
  // What stands on the lane's display: [look, word, hint, what became of it].
  if (!state.power) return ["not_ready", words.off, words.off_hint, ""];
  const told = lane.verdict;
  if (!told) return ["idle", words.idle, "", ""];
  if (!told.outcome) {
    if (told.phase === "leaves") return ["not_ready", words.dead, words.dead_hint, ""];
    return ["idle", told.phase === "shows" ? words.again : words.asking, "", ""];
  }
  const [visitor, steward] = told.said[language];
  let after = "";
  if (told.turned || told.phase === "through") after = words.through;
  else if (told.phase === "walks" || told.phase === "stays") after = words.free;
  else if (told.outcome === "grant" && told.phase === "leaves") after = words.back;
  return [told.said.display, visitor, steward, after];
}

function showLane() {
  const lane = laneOf();
  text($("lane-title"), words[`lane${lane.id}`]);
  scene.show(lane, state.power, words);
  const [look, word, hint, after] = answerOf(lane);
  const box = $("verdict");
  box.className = look;
  box.dataset.outcome = lane.verdict ? lane.verdict.outcome : "";
  box.dataset.reason = lane.verdict ? lane.verdict.reason : "";
  box.dataset.phase = lane.verdict ? lane.verdict.phase : "";
  $("verdict-icon").setAttribute("d", ICONS[look] || ICONS.idle);
  text($("verdict-word"), word);
  text($("verdict-hint"), hint);
  text($("verdict-after"), after);
  $("walk").setAttribute("aria-checked", String(state.walk));
  const looks = lane.verdict && lane.verdict.outcome === "check" && lane.verdict.phase === "waits";
  $("steward").hidden = !looks;
}

// --- trouble ---------------------------------------------------------------------------------------------------------

function showTrouble() {
  text($("power"), state.power ? words.power_cut : words.power_back);
  $("power").classList.toggle("on", !state.power);
  text($("fire"), state.fire ? words.fire_off : words.fire_on);
  $("fire").classList.toggle("on", state.fire);
  $("clear").hidden = state.fire || !state.lanes.some((lane) => lane.alarm);
  const switches = [
    ...Object.entries(state.devices).map(([name, on]) => [words[name], on, () => post("plug", { device: name, on: !on }), name]),
    ...state.lanes.map((lane) => [words[`ready${lane.id}`], lane.ready, () => post("ready", { lane: lane.id, on: !lane.ready }), `ready${lane.id}`]),
  ];
  const box = $("plugs");
  if (box.children.length !== switches.length) {
    box.replaceChildren(...switches.map(() => el("button", { type: "button", class: "switch", role: "switch" }, el("span"))));
  }
  switches.forEach(([label, on, toggle, name], index) => {
    const button = box.children[index];
    text(button.firstChild, label);
    button.setAttribute("aria-checked", String(on));
    button.dataset.device = name;
    button.onclick = toggle;
  });
  if (!$("elsewhere").childNodes.length || $("elsewhere").dataset.language !== language) {
    $("elsewhere").dataset.language = language;
    $("elsewhere").replaceChildren(
      words.elsewhere, el("a", { href: state.technician, target: "_blank", rel: "noopener" }, state.technician),
      ` · ${words.pin}`, el("b", {}, state.pin),
    );
  }
}

// --- records ---------------------------------------------------------------------------------------------------------

const clock = (ms) => new Date(ms).toLocaleTimeString(language === "en" ? "en-GB" : language);

function looks(record) {
  if (record.kind === "scan") return record.outcome;
  if (record.kind === "passage" || record.kind === "late_passage" || record.kind === "override") return "grant";
  if (["intrusion", "tailgate", "fire", "chain_break"].includes(record.kind)) return "deny";
  return "plain";
}

function drawRecord(record) {
  const what = [];
  if (record.kind === "scan") what.push(words[record.outcome === "check" ? "check_" : record.outcome] || record.outcome);
  if (record.reason) what.push(record.said[language]);
  if (record.ticket) what.push(`${words.ticket} ${record.ticket}`);
  if (record.kind === "restart") what.push(`${words.epoch} ${record.epoch}…`);
  const where = record.lane ? `${words.lane} ${record.lane} ${words[record.way] || ""}` : "";
  return el("li", { class: `record ${looks(record)}`, "data-id": record.id, "data-kind": record.kind, title: record.hex },
    el("time", {}, clock(record.time_ms)),
    el("b", {}, words[record.kind] || record.kind),
    el("span", { class: "where" }, where),
    el("span", { class: "what" }, what.join(" · ")),
    el("span", { class: "seal" }, record.signed ? "✓" : ""),
  );
}

let drawn = "";
function showRecords() {
  text($("log-note"), state.records.length ? words.log_note : words.no_records);
  const key = language + state.records.map((one) => one.id + one.signed).join();
  if (key === drawn) return;
  drawn = key;
  const before = new Set([...$("records").children].map((one) => one.dataset.id));
  const rows = state.records.map(drawRecord);
  for (const row of rows) {
    if (before.size && !before.has(row.dataset.id)) row.classList.add("fresh");
    row.lastChild.setAttribute("aria-label", row.lastChild.textContent ? words.signed : "");
  }
  $("records").replaceChildren(...rows);
}

// --- all -------------------------------------------------------------------------------------------------------------

function show() {
  const { word, cause, inside } = state.gate;
  const people = inside.map((one) => `${one.zone} ${one.low === one.high ? one.low : `${one.low}–${one.high}`}`).join(", ");
  const why = cause[language] ? `: ${cause[language]}` : people ? ` · ${words.inside}: ${people}` : "";
  text($("gate"), words[`gate_${word}`] + why);
  $("gate").className = word;
  showLane();
  showTrouble();
  showRecords();
}

function speak() {
  words = of(language);
  document.documentElement.lang = language === "de" ? "de" : "en";
  for (const node of document.querySelectorAll("[data-t]")) text(node, words[node.dataset.t]);
  $("languages").setAttribute("aria-label", words.language);
  $("languages").replaceChildren(...LANGUAGES.map((one) => el("button", {
    type: "button", "aria-pressed": String(one === language), lang: one, onclick: () => { language = one; speak(); },
  }, one.toUpperCase())));
  scene.built = 0;
  drawTickets();
  showPicked();
}

function listen() {
  const events = new EventSource("/api/events");
  events.onmessage = (event) => {
    clearTimeout(lostTimer);
    lostTimer = 0;
    $("lost").hidden = true;
    state = JSON.parse(event.data);
    show();
  };
  events.onerror = () => { lostTimer ||= setTimeout(() => { $("lost").hidden = false; }, 1500); };
}

$("open-list").onclick = () => {
  const open = $("pick").classList.toggle("open");
  $("open-list").setAttribute("aria-expanded", String(open));
};
$("text").oninput = drawCode;
$("text").onkeydown = (event) => { if (event.key === "Enter") present(); };
$("present").onclick = present;
$("walk").onclick = () => post("walk", { on: !state.walk });
$("steward").onclick = () => post("steward", { lane: Number(place[0]) });
$("power").onclick = async () => { $("power").disabled = true; await post("power", { on: !state.power }); $("power").disabled = false; };
$("fire").onclick = () => post("fire", { on: !state.fire });
$("clear").onclick = () => post("clear", {});

tickets = await (await fetch("/api/tickets")).json();
picked = tickets[0] || null;
speak();
listen();

// The display at one lane. It shows only what the box says now: without a word for LOST_MS it says NOT READY.
import { follow, stopwatch } from "./stream.js";

const SHOWN_MS = 5000; // long enough to read, gone before the next but one
const LOST_MS = 6000; // three beats of the box
const STILL_MS = 3000; // a beat and a half: what comes after it is not shown as if it were now, somebody else stands there
const CHECK_MS = 500;
const CHANGE_MS = 350; // a state stands at least so long: fewer than three changes in a second are no flashing (WCAG 2.3.1)
const SHAPES = { tap_tag: "tap", ticket_first: "idle" }; // what to do at a check-in station, where no arm makes anybody wait
const LANGUAGES = ["de", "fr", "it", "en"];
// Rhythms, told apart without hearing the pitch: [Hz, from ms, for ms]. Never more than three beeps in a second.
const RHYTHMS = {
  admit: [[880, 0, 350]], exit: [[880, 0, 350]],
  already_used: [[520, 0, 180], [520, 350, 180]],
  refused: [[240, 0, 200], [240, 350, 200], [240, 700, 200]],
  check: [[660, 0, 120], [660, 350, 450]],
  not_ready: [[180, 0, 900]],
};

const $ = (id) => document.getElementById(id);
const all = JSON.parse(document.body.dataset.words);
const lane = Number(document.body.dataset.lane);
let lang = document.documentElement.lang;
let isLost = true, status = null, scan = null, ticket = null, audio = null, listen = () => {};
let changed = 0, later = 0, told = "", tones = [], sounding = "", sounded = -Infinity;

function put(node, text) { if (node.textContent !== text) node.textContent = text; }

// A new rhythm ends the one before; the same again, in no time, goes on.
function beep(state) {
  if (audio?.state !== "running") return;
  if (state === sounding && performance.now() - sounded < CHANGE_MS) return;
  sounding = state;
  sounded = performance.now();
  for (const one of tones) one.stop();
  tones = [];
  for (const [hz, from, long] of RHYTHMS[state] ?? []) {
    const tone = new OscillatorNode(audio, { frequency: hz, type: "square" });
    const loud = new GainNode(audio, { gain: 0.2 });
    tone.connect(loud).connect(audio.destination);
    tone.start(audio.currentTime + from / 1000);
    tone.stop(audio.currentTime + (from + long) / 1000);
    tones.push(tone);
  }
}

// What stands now: its state, and what is written, line by line.
function now() {
  const words = all[lang];
  const own = status?.lanes.find((one) => one.id === lane);
  const unready = (word, text, hint) => ({ state: "not_ready", word, text, hint });
  if (isLost || !status) return unready(words.not_ready, words.lost, words.staff);
  if (status.gate && !own) return unready(words.not_ready, words.no_lane, "");
  if (own?.fire || own?.state === "emergency") return unready(words.leave, "", "");
  if (status.verdict.word === "not_ready" || !own?.ready) return unready(words.not_ready, words.staff, "");
  const one = [scan, ticket].find((shown) => shown && shown.age() < shown.shownMs);
  if (one) {
    return { state: one.display, shape: SHAPES[one.word], word: words[one.word] ?? words[one.display], text: one.text, name: one.name, product: one.product, hint: one.steward, key: `${one.key} ${one.display}` };
  }
  if (["closed", "out_of_service"].includes(own.state)) return unready(words.not_ready, words.closed, "");
  return { state: "idle", word: words.idle };
}

function paint() {
  const { state, shape = state, word, text = "", name = "", product = "", hint = "", key = "" } = now();
  const before = document.body.dataset.state;
  if (state !== before) {
    const early = before ? changed + CHANGE_MS - performance.now() : 0;
    if (early > 0) {
      later ||= setTimeout(() => { later = 0; paint(); }, early);
      return;
    }
    changed = performance.now();
  }
  document.body.className = key ? `${state} scan` : state;
  document.body.dataset.state = state;
  $("shape").setAttribute("href", `#s-${shape}`);
  put($("word"), word);
  $("word").style.setProperty("--letters", Math.max(...word.split(" ").map((one) => one.length)));
  put($("text"), text);
  put($("name"), name);
  put($("product"), product);
  put($("hint"), hint);
  const own = status?.lanes.find((one) => one.id === lane);
  put($("lane"), own ? `${status.name} · ${own.name}` : "");
  const fresh = key ? key !== told : state === "not_ready" && before && before !== state;
  if (key) told = key;
  if (fresh) beep(state);
}

function show(one) {
  if (one.lane !== lane) return;
  if (one.display === "undone") { // did not pass, or was taken back: nobody is invited any more
    if (scan?.key === one.key) scan = null;
    paint();
    return;
  }
  if (known[one.key] === one.display || one.became) return; // the same one again, who has passed meanwhile
  remember(one);
  one.age = stopwatch();
  one.shownMs = one.shown_s * 1000 || SHOWN_MS;
  scan = one;
  if (one.word === "tap_tag") ticket = one;
  else if (one.word !== "other_tag") ticket = null; // it waits for another wristband still
  paint();
  setTimeout(() => { one.name = ""; paint(); }, one.shownMs + 1); // a name is kept no longer than it is shown
}

// A correction may come after others were shown: it tells nothing new.
const KNOWN_MAX = 20;
let known = {};
function remember(one) {
  known = Object.fromEntries([...Object.entries(known), [one.key, one.display]].slice(-KNOWN_MAX));
}

function speak(next) {
  lang = next;
  const words = all[lang];
  document.documentElement.lang = lang;
  document.title = words.idle;
  put($("language"), lang.toUpperCase());
  $("language").setAttribute("aria-label", `${words.language}: ${lang.toUpperCase()}`);
  sounds();
  scan = ticket = null; // their text is in the language before
  paint();
}

function nextLanguage() {
  speak(LANGUAGES[(LANGUAGES.indexOf(lang) + 1) % LANGUAGES.length]);
  try { localStorage.setItem("display-lang", lang); } catch { /* a kiosk that keeps nothing */ }
  listen();
}

// A browser lets a page sound only after a touch. The button says what is, not what was wished: a box without a
// sound device never runs.
function sound() {
  if (!audio) {
    audio = new AudioContext();
    audio.addEventListener("statechange", () => { sounds(); beep("admit"); });
  }
  if (audio.state === "running") audio.suspend(); else audio.resume();
}

function sounds() {
  const isOn = audio?.state === "running";
  const said = isOn ? all[lang].quiet : all[lang].sound;
  $("sound").setAttribute("aria-pressed", String(isOn));
  $("sound").setAttribute("aria-label", said);
  $("sound").title = said;
  $("sound-shape").setAttribute("href", isOn ? "#s-sound" : "#s-mute");
}

$("language").addEventListener("click", nextLanguage);
$("sound").addEventListener("click", sound);
addEventListener("keydown", (event) => { if (event.key.toLowerCase() === "l" && !event.ctrlKey && !event.metaKey && !event.altKey) nextLanguage(); });
setInterval(paint, CHECK_MS);
let liked = null;
try { liked = localStorage.getItem("display-lang"); } catch { /* as above */ }
speak(LANGUAGES.includes(liked) ? liked : lang);
listen = follow({
  address: () => `/api/events?display=1&lang=${lang}&reasons=${lang}`,
  silentMs: LOST_MS,
  stillMs: STILL_MS,
  lookMs: CHECK_MS,
  alive: () => { isLost = false; },
  lost: () => { isLost = true; scan = ticket = null; paint(); },
  status: (said) => { status = said; paint(); },
  seen: show,
});

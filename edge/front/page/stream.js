// The box's live stream (/api/events), for the page and for the displays: opened anew where it was refused or fell silent.
const RETRY_MS = 2000; // refused, not broken: the browser itself would not try again

// `address()`: where to listen, asked at each opening. `silentMs` without a word: lost, whatever the connection looks like.
// Calls `status` and `seen` with what came, `alive` at each word of the box, `lost` at each silence. Returns what opens it anew.
export function follow({ address, silentMs, lookMs, status, seen, alive, lost }) {
  let source = null, heard = 0, heardAt = 0;

  // Two clocks: one is set back by hand, the other stands still while a phone sleeps.
  function hear() { heard = performance.now(); heardAt = Date.now(); }
  const silent = () => Math.max(performance.now() - heard, Date.now() - heardAt);

  function open() {
    source?.close(); // what still lies in the old one's pipe is never read
    const own = new EventSource(address());
    const on = (name, take) => own.addEventListener(name, (event) => { hear(); alive(); take(event); });
    source = own;
    hear();
    on("status", (event) => status(JSON.parse(event.data)));
    on("seen", (event) => seen(JSON.parse(event.data)));
    on("beat", () => {});
    own.addEventListener("error", () => {
      if (source !== own) return;
      lost();
      if (own.readyState === EventSource.CLOSED) setTimeout(() => { if (source === own) open(); }, RETRY_MS);
    });
  }

  setInterval(() => { if (silent() > silentMs) { lost(); open(); } }, lookMs);
  open();
  return open;
}

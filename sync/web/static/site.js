// What every page does beyond links and forms: ask before what cannot be undone, send once, print, close an open menu.
const DOUBLE_MS = 500; // what follows a tap at once is part of it, a key held down as well
const SENT_MS = 20_000; // over a slow link a form is pressed again before its answer is here

addEventListener("submit", (event) => {
  if (asks(event.submitter) || isSent(event.target)) event.preventDefault();
});

// Whether a button asks first: at its first press, and at what is still part of that.
function asks(button) {
  if (!button?.dataset.sure || (button.dataset.armed && !button.ariaDisabled)) return false;
  const ready = () => button.removeAttribute("aria-disabled");
  const isArmed = Boolean(button.dataset.armed);
  clearTimeout(Number(button.dataset.armed));
  button.dataset.armed = String(setTimeout(ready, DOUBLE_MS));
  if (isArmed) return true;
  const before = [...button.childNodes]; // a part of it may be for screen readers alone
  button.setAttribute("aria-disabled", "true");
  button.textContent = button.dataset.sure;
  button.classList.add("sure");
  button.addEventListener("blur", () => {
    clearTimeout(Number(button.dataset.armed));
    ready();
    delete button.dataset.armed;
    button.replaceChildren(...before);
    button.classList.remove("sure");
  }, { once: true });
  button.focus();
  return true;
}

// Whether a form is under way already; from now on it is.
function isSent(form) {
  if (form.method !== "post") return false;
  if (form.dataset.sent) return true;
  form.dataset.sent = String(setTimeout(() => { delete form.dataset.sent; }, SENT_MS));
  return false;
}
addEventListener("pageshow", (event) => { // by the back button, as it was left
  if (event.persisted) for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
});
addEventListener("keydown", (event) => { if (event.repeat && event.key === "Enter" && event.target.dataset?.sure) event.preventDefault(); });
addEventListener("click", (event) => {
  if (event.target.closest("[data-print]")) print();
  for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
});
addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});
// The first field that is wrong, or the first of a new form.
document.querySelector("[aria-invalid=true], [data-first]")?.focus();

/* What cannot be sent now is kept on this device, and sent once when there is a network: a form has one name for good,
   and the service does what it says once, however often it arrives. Each lies under a key of its own. */
const NAME = "relais-kept-";
const AGAIN = 15000;
const PATIENCE = 20000;
const BREATH = 2000;
const AN_EVENING = 12 * 60 * 60 * 1000;
const words = document.body.dataset;
const place = document.getElementById("kept");
const done = [];
let sending = false;
let leaving = false;

function all() {
  try {
    const keys = Object.keys(localStorage).filter((key) => key.startsWith(NAME));
    return keys.map((key) => JSON.parse(localStorage.getItem(key))).sort((one, other) => one.at - other.at);
  } catch {
    return [];
  }
}

function keep(entry) {
  localStorage.setItem(NAME + entry.id, JSON.stringify(entry));
}

function forget(entry) {
  localStorage.removeItem(NAME + entry.id);
}

/* What was taken off the list meanwhile, in another window too, does not come back. */
function change(entry, state) {
  if (localStorage.getItem(NAME + entry.id)) keep({ ...entry, tried: true, state });
}

function own() {
  return all().filter((each) => each.whose === words.whose);
}

function fresh() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((each) => each.toString(16).padStart(2, "0")).join("");
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  const path = new URL(form.action).pathname;
  if (path === "/console/leave" || path === "/console/sign-out") return leave(event, path);
  /* An old browser sends it as any form is sent. A button with a name asks for something else than to post. */
  if (!form.matches("[data-keep]") || !("submitter" in event) || !AbortSignal.timeout) return;
  if (event.submitter?.name) {
    if (!navigator.onLine) {
      event.preventDefault();
      event.submitter.setCustomValidity(words.keptNoNetwork);
      event.submitter.reportValidity();
      event.submitter.setCustomValidity("");
    }
    return;
  }
  const fields = new URLSearchParams(new FormData(form));
  const people = ["adults", "minors"].map((name) => fields.getAll(name).reduce((sum, each) => sum + Number(each), 0));
  for (const name of ["token", "q"]) fields.delete(name);
  fields.set("form", fresh());
  const entry = { id: fields.get("form"), whose: words.whose, action: path, at: Date.now() };
  Object.assign(entry, { fields: fields.toString(), people: people[0] + people[1], state: "waits" });
  try {
    keep(entry);
  } catch {
    return; /* A device that keeps nothing sends it as any form is sent. */
  }
  event.preventDefault();
  const buttons = [...form.querySelectorAll("button:not([name])")];
  for (const button of buttons) button.disabled = true;
  send(entry, form).then((answered) => {
    /* Long enough that nobody's second tap is a second need: the form is empty by then. */
    setTimeout(() => buttons.forEach((button) => (button.disabled = false)), answered ? 0 : BREATH);
  });
});

/* Whoever leaves in a hurry leaves nothing; whoever signs out is asked, for what waits goes too. */
function leave(event, path) {
  if (path === "/console/sign-out" && own().length && !confirm(words.keptLose)) return event.preventDefault();
  leaving = true;
  for (const entry of all()) forget(entry);
}

/* Sends one. Who filled it in and waits for it goes on to what came of it; what is kept leaves the form empty, so that a
   second tap is not a second need. Whether there was an answer. */
async function send(entry, form) {
  const body = new URLSearchParams(entry.fields);
  body.set("token", words.token);
  let answer;
  let made;
  try {
    answer = await fetch(entry.action, { method: "POST", body, signal: AbortSignal.timeout(PATIENCE) });
    if (!answer.redirected) made = new DOMParser().parseFromString(await answer.text(), "text/html");
  } catch {
    return waits(entry, "waits", form);
  }
  const path = new URL(answer.url).pathname;
  if (path === "/console/sign-in" || (answer.status === 403 && !answer.redirected)) return waits(entry, "signed_out", form);
  if (answer.redirected && path !== entry.action) {
    /* It was posted, whether or not the page of it may be read with this key. */
    forget(entry);
    if (form && !leaving) return location.assign(answer.url);
    if (!form) done.push({ ...entry, there: answer.url });
  } else if (answer.status === 422 && made?.querySelector("main")) {
    if (form) {
      /* What is wrong with it is said beside the form, as it was filled in. */
      document.querySelector("main").replaceChildren(...made.querySelector("main").childNodes);
      forget(entry);
    } else change(entry, "refused");
  } else return waits(entry, "waits", form);
  show();
  return true;
}

function waits(entry, state, form) {
  change(entry, state);
  show();
  if (form) {
    form.reset();
    place.focus();
    place.scrollIntoView({ block: "center" });
  }
  return false;
}

async function sendAll() {
  if (sending || !words.token) return;
  sending = true;
  try {
    for (const { id } of own()) {
      const entry = own().find((each) => each.id === id);
      if (entry && entry.state !== "refused" && !(await send(entry))) break;
    }
  } finally {
    sending = false;
    show();
  }
}

function line(entry, said) {
  const language = document.documentElement.lang === "en" ? "en-GB" : document.documentElement.lang;
  const item = document.createElement("li");
  const time = new Date(entry.at).toLocaleTimeString(language, { hour: "2-digit", minute: "2-digit" });
  item.textContent = words.keptWhat.replace("{people}", entry.people).replace("{time}", time) + " " + said + " ";
  return item;
}

function show() {
  if (!place) return;
  const entries = own();
  /* What did not change stays as it is: somebody may be in it, and it is not to be read out again. */
  const seen = JSON.stringify([entries.map((each) => [each.id, each.state, each.tried]), done.map((each) => each.id)]);
  if (place.dataset.seen === seen) return;
  place.dataset.seen = seen;
  const made = entries.map((entry) => {
    const said = { waits: words.keptWaits, signed_out: words.keptSignedOut, refused: words.keptRefused }[entry.state];
    const item = line(entry, said + (entry.tried && entry.state === "waits" ? " " + words.keptTried : ""));
    const button = document.createElement("button");
    button.type = "button";
    button.className = "lesser";
    button.textContent = words.keptForget;
    button.addEventListener("click", () => {
      forget(entry);
      show();
      place.focus();
    });
    item.append(button);
    return item;
  });
  for (const entry of done) {
    const item = line(entry, words.keptSent);
    const link = document.createElement("a");
    link.href = entry.there;
    link.textContent = words.keptOpen;
    item.append(link);
    made.push(item);
  }
  place.hidden = made.length === 0;
  place.querySelector("ul").replaceChildren(...made);
}

for (const entry of all()) if (Date.now() - entry.at > AN_EVENING) forget(entry);
show();
sendAll();
addEventListener("online", sendAll);
addEventListener("storage", show);
addEventListener("pageshow", show);
setInterval(() => own().length && sendAll(), AGAIN);
if (words.token && navigator.serviceWorker) {
  navigator.serviceWorker.register("/console/offline.js", { scope: "/console" }).catch(() => {});
}

/* What cannot be sent now is kept on this device, and sent once when there is a network: a form has one name for good,
   and the service does what it says once, however often it arrives. */
const NAME = "relais-kept";
const AGAIN = 15000;
const PATIENCE = 20000;
const AN_EVENING = 12 * 60 * 60 * 1000;
const words = document.body.dataset;
const place = document.getElementById("kept");
const done = [];
let sending = false;

function all() {
  try {
    return JSON.parse(localStorage.getItem(NAME)) || [];
  } catch {
    return [];
  }
}

function write(entries) {
  localStorage.setItem(NAME, JSON.stringify(entries));
}

function change(id, changes) {
  const entries = all().map((each) => (each.id === id ? { ...each, ...changes } : each));
  write(changes ? entries : entries.filter((each) => each.id !== id));
}

function own() {
  return all().filter((each) => each.whose === words.whose);
}

function fresh() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((each) => each.toString(16).padStart(2, "0")).join("");
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.action.endsWith("/console/leave")) localStorage.removeItem(NAME);
  /* A button with a name asks for something else: to look for a town, or for more rows. */
  if (!form.matches("[data-keep]") || event.submitter?.name) return;
  const fields = new URLSearchParams(new FormData(form));
  const people = ["adults", "minors"].map((name) => fields.getAll(name).reduce((sum, each) => sum + Number(each), 0));
  fields.delete("token");
  fields.set("form", fresh());
  const entry = { id: fields.get("form"), whose: words.whose, action: new URL(form.action).pathname, at: Date.now() };
  Object.assign(entry, { fields: fields.toString(), people: people[0] + people[1], state: "waits" });
  try {
    write([...all(), entry]);
  } catch {
    return; /* A device that keeps nothing sends it as any form is sent. */
  }
  event.preventDefault();
  for (const button of form.querySelectorAll("button:not([name])")) button.disabled = true;
  send(entry, true).finally(() => {
    for (const button of form.querySelectorAll("button:not([name])")) button.disabled = false;
  });
});

/* Sends one; who waits for it in front of the page goes on to what came of it. */
async function send(entry, waited) {
  const body = new URLSearchParams(entry.fields);
  body.set("token", words.token);
  let answer;
  try {
    answer = await fetch(entry.action, { method: "POST", body, signal: AbortSignal.timeout(PATIENCE) });
    if (answer.status >= 500 || answer.status === 429) throw new Error();
  } catch {
    change(entry.id, { state: "waits" });
    show();
    if (waited) place.scrollIntoView({ block: "center" });
    return false;
  }
  const path = new URL(answer.url).pathname;
  if (answer.status === 403 || path === "/console/sign-in") {
    change(entry.id, { state: "signed_out" });
  } else if (answer.ok && answer.redirected) {
    change(entry.id, null);
    if (waited) return location.assign(answer.url);
    done.push({ ...entry, there: answer.url });
  } else if (waited) {
    /* What is wrong with it is said beside the form, as it was filled in. */
    change(entry.id, null);
    const made = new DOMParser().parseFromString(await answer.text(), "text/html");
    document.querySelector("main").replaceChildren(...made.querySelector("main").childNodes);
  } else {
    change(entry.id, { state: "refused" });
  }
  show();
  return true;
}

async function sendAll() {
  if (sending || !words.token) return;
  sending = true;
  try {
    for (const entry of own()) {
      if (Date.now() - entry.at > AN_EVENING) change(entry.id, { state: "refused" });
      else if (entry.state !== "refused" && !(await send(entry, false))) break;
    }
  } finally {
    sending = false;
    show();
  }
}

function line(entry, said) {
  const item = document.createElement("li");
  const time = new Date(entry.at).toLocaleTimeString(document.documentElement.lang, { hour: "2-digit", minute: "2-digit" });
  item.textContent = words.keptWhat.replace("{people}", entry.people).replace("{time}", time) + " " + said + " ";
  return item;
}

function show() {
  if (!place) return;
  const entries = own();
  const made = entries.map((entry) => {
    const said = { waits: words.keptWaits, signed_out: words.keptSignedOut, refused: words.keptRefused }[entry.state];
    const item = line(entry, said);
    const button = document.createElement("button");
    button.type = "button";
    button.className = "lesser";
    button.textContent = words.keptForget;
    button.addEventListener("click", () => {
      change(entry.id, null);
      show();
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

show();
sendAll();
addEventListener("online", sendAll);
setInterval(() => own().length && sendAll(), AGAIN);
if (words.token && navigator.serviceWorker) {
  navigator.serviceWorker.register("/console/offline.js", { scope: "/console" }).catch(() => {});
}

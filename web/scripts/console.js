/* The pages work without this: it counts by tapping, ticks, listens, and gives ten seconds to take an answer back. */
const UNDO = 10;
const NEAR_METRES = 50;
const page = document.documentElement;
const words = document.body.dataset;
let waiting = 0;
let asking = false;
let missed = false;
let taken = document.getElementById("live")?.innerHTML;

page.classList.add("js");

/* Asked of the document, so that a form that was put in later counts too. */
document.addEventListener("click", (event) => {
  const step = event.target.closest?.("[data-step]");
  if (!step) return;
  const field = step.parentElement.querySelector("input");
  const next = Number(field.value || 0) + Number(step.dataset.step);
  field.value = Math.min(Math.max(next, Number(field.min)), Number(field.max));
});

/* Where this device is, by a tap and where the browser may say it; it is sent only with the form. */
document.addEventListener("click", (event) => {
  const here = event.target.closest?.("[data-here]");
  if (!here) return;
  const said = here.parentElement.querySelector("[role=status]");
  const failed = () => (said.textContent = here.dataset.failed);
  if (!navigator.geolocation) return failed();
  said.textContent = "…";
  navigator.geolocation.getCurrentPosition(
    ({ coords }) => {
      /* A guess by the network would send people at night to somewhere in the town. */
      if (coords.accuracy > NEAR_METRES) return failed();
      document.getElementById(here.dataset.here).value = coords.latitude.toFixed(5) + ", " + coords.longitude.toFixed(5);
      said.textContent = "✓";
    },
    failed,
    { enableHighAccuracy: true, timeout: 20000 },
  );
});

/* How long there is until a deadline, in the words of the server: minutes, and hours from an hour and a half on. */
function tick() {
  const says = new Intl.RelativeTimeFormat(page.lang === "en" ? "en-GB" : page.lang);
  for (const time of document.querySelectorAll("[data-left]")) {
    const minutes = Math.max((Date.parse(time.dateTime) - Date.now()) / 60000, 1);
    const said = minutes < 90 ? says.format(Math.round(minutes), "minute") : says.format(Math.round(minutes / 60), "hour");
    if (time.textContent !== said) time.textContent = said;
  }
}

function show(lost) {
  const line = document.querySelector("[data-fresh]");
  if (!line) return;
  const said = lost ? line.dataset.lost : line.dataset.words;
  if (line.textContent !== said) line.textContent = said;
  line.classList.toggle("lost", lost);
}

/* The part of the page that lives, read anew; where somebody was in it, they are again. */
async function refresh() {
  const part = document.getElementById("live");
  if (!part) return;
  if (waiting || asking) {
    missed = true;
    return;
  }
  asking = true;
  try {
    const answer = await fetch(part.dataset.live, { headers: { Accept: "text/html" } });
    if (answer.redirected) return location.replace(answer.url);
    if (!answer.ok) throw new Error();
    const made = (await parsed(answer)).getElementById("live");
    show(false);
    /* An answer that was begun meanwhile must stay in sight for as long as it can be taken back. */
    if (waiting) missed = true;
    else take(made, part);
  } catch {
    show(true);
  } finally {
    asking = false;
  }
  if (missed && !waiting) {
    missed = false;
    refresh();
  }
}

async function parsed(answer) {
  return new DOMParser().parseFromString(await answer.text(), "text/html");
}

function take(made, part) {
  /* What is on the page is not what was sent: it was opened, ticked, and counts minutes. */
  if (!made || made.innerHTML === taken) return;
  taken = made.innerHTML;
  const open = [...part.querySelectorAll("details")].map((each) => each.open);
  const focused = part.contains(document.activeElement) ? document.activeElement.id : "";
  const before = [...part.querySelectorAll("form")].map((form) => [about(form), begun(form)]);
  part.replaceChildren(...made.childNodes);
  part.querySelectorAll("details").forEach((each, number) => (each.open = open[number] || false));
  for (const form of part.querySelectorAll("form")) before.filter(([what]) => what === about(form)).forEach(([, fields]) => goOn(form, fields));
  if (focused) document.getElementById(focused)?.focus();
  tick();
}

/* What a form answers: where it is sent, and what is fixed in it, as the number of a plan. */
function about(form) {
  const fixed = [...form.querySelectorAll("[type=hidden]")].map((each) => each.name + "=" + each.value);
  return [form.getAttribute("action"), ...fixed].join("\n");
}

/* The fields that somebody has ticked, chosen or written in. */
function begun(form) {
  return [...form.elements].filter((each) => each.matches("input, textarea") && (each.checked !== each.defaultChecked || each.value !== each.defaultValue));
}

/* All of it or nothing: an answer without one of its ticks would be another answer. */
function goOn(form, fields) {
  const same = fields.map((old) => [...form.elements].find((each) => each.name === old.name && (old.type !== "radio" && old.type !== "checkbox" || each.value === old.value)));
  if (same.some((each) => !each)) return;
  same.forEach((each, number) => {
    if (each.type === "radio" || each.type === "checkbox") each.checked = fields[number].checked;
    else each.value = fields[number].value;
  });
}

/* Nothing is sent before the time is over: who leaves the page before has said nothing. */
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.matches("[data-undo]")) return;
  event.preventDefault();
  const fields = new URLSearchParams(new FormData(form, event.submitter));
  fields.set("sure", "1");
  const line = document.createElement("p");
  const undo = document.createElement("button");
  const said = document.createElement("span");
  line.className = "undo";
  said.setAttribute("role", "status");
  said.textContent = event.submitter?.dataset.says || words.sending;
  undo.type = "button";
  undo.className = "lesser";
  undo.id = "undo-" + (event.submitter?.id || "");
  undo.textContent = words.undo + " (" + UNDO + ")";
  line.append(said, undo);
  form.hidden = true;
  form.after(line);
  undo.focus();
  waiting += 1;
  const end = Date.now() + UNDO * 1000;
  const timer = setInterval(() => {
    const left = Math.ceil((end - Date.now()) / 1000);
    if (left > 0) undo.textContent = words.undo + " (" + left + ")";
    else {
      over();
      undo.remove();
      send(form, fields, said);
    }
  }, 250);
  const over = () => {
    clearInterval(timer);
    waiting -= 1;
  };
  undo.addEventListener("click", () => {
    over();
    line.remove();
    form.hidden = false;
    (event.submitter || form.querySelector("button")).focus();
    if (missed) refresh();
  });
});

async function send(form, fields, said) {
  try {
    const answer = await fetch(form.action, { method: "POST", body: fields });
    if (answer.ok && !document.getElementById("live")) {
      /* Another answer may still be taken back: the page is read anew when it was sent too. */
      if (!waiting) return location.replace(answer.url);
      return said.parentElement.remove();
    }
    if (answer.ok) {
      /* It was said: it is not begun any more, and its line goes even where all else is as it was. */
      form.reset();
      taken = "";
      return refresh();
    }
    document.querySelector("main").replaceChildren(...(await parsed(answer)).querySelector("main").childNodes);
  } catch {
    /* Whether it arrived is not known: sent again it does the same once. */
    said.textContent = words.late;
    form.hidden = false;
  }
}

function listen() {
  const changes = new EventSource("/console/changes");
  changes.onmessage = () => refresh();
  changes.onopen = () => refresh();
  changes.onerror = () => {
    show(true);
    if (changes.readyState === EventSource.CLOSED) setTimeout(() => document.hidden || (refresh(), listen()), 15000);
  };
  addEventListener("pagehide", () => changes.close());
}

if (document.getElementById("live")) {
  tick();
  setInterval(tick, 10000);
  setInterval(refresh, 60000);
  addEventListener("online", refresh);
  listen();
}

/* What is large is fetched only where somebody asks for it. */
document.addEventListener("click", (event) => {
  const button = event.target.closest?.("[data-open]");
  if (!button) return;
  const failed = () => (document.getElementById(button.dataset.status).textContent = button.dataset.broken);
  import(button.dataset.open).then((opened) => opened.open(button), failed);
});

/* Keeps the four pages of an evening, so that they open where there is no network. Pages with a code are never kept. */
const KEPT = "relais-kept";
const PAGES = ["/console", "/console/tonight", "/console/needs/new", "/console/needs/queue"];
const FILES = "/console/files/";
const NO_NETWORK = "/console/offline";
const PATIENCE = 6000;
const AN_EVENING = 12 * 60 * 60 * 1000;

addEventListener("install", (event) => {
  event.waitUntil(caches.open(KEPT).then((kept) => kept.add(NO_NETWORK)).then(() => skipWaiting()));
});

addEventListener("activate", (event) => event.waitUntil(clients.claim()));

addEventListener("fetch", (event) => {
  const { pathname, origin } = new URL(event.request.url);
  if (event.request.method !== "GET" || origin !== location.origin) return;
  if (pathname.startsWith(FILES)) event.respondWith(file(event));
  else if (event.request.mode === "navigate") event.respondWith(page(event, pathname));
});

/* A name of a file is never used for other content. */
async function file(event) {
  const known = await caches.match(event.request);
  if (known) return known;
  const answer = await fetch(event.request);
  if (answer.ok) event.waitUntil(keep(event.request, answer.clone()));
  return answer;
}

async function page(event, path) {
  const known = PAGES.includes(path) ? await recent(path) : undefined;
  const asked = fetch(event.request);
  event.waitUntil(asked.then((answer) => learn(path, answer.clone())).catch(() => {}));
  try {
    return await (known ? Promise.race([asked, late()]) : asked);
  } catch {
    return known || (await caches.match(NO_NETWORK)) || Response.error();
  }
}

/* Who is sent away from one of them is signed out: what was kept for the session goes with it. */
async function learn(path, answer) {
  if (!PAGES.includes(path)) return;
  if (answer.type === "opaqueredirect") await Promise.all(PAGES.map(forget));
  else if (answer.ok && new URL(answer.url).search === "") await keep(path, answer);
}

async function recent(path) {
  const known = await caches.match(path);
  if (known && Date.now() - Date.parse(known.headers.get("date")) < AN_EVENING) return known;
  await forget(path);
  return undefined;
}

async function keep(what, answer) {
  await (await caches.open(KEPT)).put(what, answer);
}

async function forget(path) {
  await (await caches.open(KEPT)).delete(path);
}

function late() {
  return new Promise((_, fail) => setTimeout(() => fail(new Error("late")), PATIENCE));
}

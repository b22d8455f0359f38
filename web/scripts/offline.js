/* Keeps the four pages of an evening, so that they open where there is no network. Pages with a code are never kept.
   Whoever sends this script says above it which files this version has: `NOW`. So it is another one with each version. */
const KEPT = "relais-kept";
const PAGES = ["/console", "/console/tonight", "/console/needs/new", "/console/needs/queue"];
const OVER = ["/console/sign-in", "/calendar"];
const FILES = "/console/files/";
const NO_NETWORK = "/console/offline";
const PATIENCE = 6000;
const AN_EVENING = 12 * 60 * 60 * 1000;
let session = 0;

addEventListener("install", (event) => {
  event.waitUntil(caches.open(KEPT).then((kept) => kept.add(NO_NETWORK)).then(() => skipWaiting()));
});

addEventListener("activate", (event) => event.waitUntil(clients.claim()));

addEventListener("fetch", (event) => {
  const { pathname, origin } = new URL(event.request.url);
  if (origin !== location.origin) return;
  if (event.request.method === "POST" && event.request.mode === "navigate") event.respondWith(act(event, pathname));
  if (event.request.method !== "GET") return;
  if (pathname.startsWith(FILES)) event.respondWith(file(event));
  else if (event.request.mode === "navigate") event.respondWith(page(event, pathname));
});

/* A form that leaves ends what was kept, whatever its answer, and leads away where there is none. */
async function act(event, path) {
  if (path === "/console/leave" || path === "/console/sign-out") await end();
  try {
    return await fetch(event.request);
  } catch {
    return (await caches.match(NO_NETWORK)) || Response.error();
  }
}

/* A name of a file is never used for other content. */
async function file(event) {
  const known = await caches.match(event.request);
  if (known) return known;
  const answer = await fetch(event.request);
  if (answer.ok) event.waitUntil(keep(event.request, answer.clone()));
  return answer;
}

/* Files of older versions go once a page of the new one was read in the only window: another one may be of an older
   version still, and load its map when it is opened. Those stay that a page which was kept shows, for without its style
   nobody reads it. */
async function sweep(own) {
  const windows = await clients.matchAll({ type: "window", includeUncontrolled: true });
  // While its page changes, a window is listed by the page before, by the next, or not at all: so they are not counted.
  if (windows.some((each) => each.id !== own)) return;
  const kept = await caches.open(KEPT);
  const requests = (await kept.keys()).map((request) => [new URL(request.url).pathname, request]);
  const old = requests.filter(([path]) => path.startsWith(FILES) && !NOW.includes(path));
  if (!old.length) return;
  const pages = requests.filter(([path]) => !path.startsWith(FILES)).map(([, request]) => kept.match(request));
  const shown = (await Promise.all((await Promise.all(pages)).map((each) => (each ? each.text() : "")))).join();
  await Promise.all(old.filter(([path]) => !shown.includes(path)).map(([, request]) => kept.delete(request)));
}

async function page(event, path) {
  if (OVER.includes(path)) await end();
  const known = PAGES.includes(path) ? await recent(path) : undefined;
  const begun = session;
  const asked = fetch(event.request);
  event.waitUntil(asked.then((answer) => learn(path, answer.clone(), begun, event.resultingClientId)).catch(() => {}));
  try {
    return await (known ? Promise.race([asked, late()]) : asked);
  } catch {
    return known || (await caches.match(NO_NETWORK)) || Response.error();
  }
}

/* Who is sent away from one of them is signed out. What was asked for in a session that is over is not kept any more. */
async function learn(path, answer, begun, own) {
  if (begun !== session) return;
  if (path === NO_NETWORK && answer.ok) await keep(path, answer);
  if (!PAGES.includes(path)) return;
  if (answer.type === "opaqueredirect") await end();
  else if (answer.ok && new URL(answer.url).search === "") {
    await keep(path, answer);
    await sweep(own);
  }
}

async function recent(path) {
  for (const each of PAGES) {
    const known = await caches.match(each);
    const age = known ? Date.now() - Date.parse(known.headers.get("date")) : 0;
    if (age > AN_EVENING || age < -AN_EVENING) await forget(each);
  }
  return caches.match(path);
}

async function end() {
  session += 1;
  await Promise.all(PAGES.map(forget));
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

/* A key that is read off paper: the camera is asked for when somebody presses the button and let go as soon as it has
   read one. Pictures are looked at in this browser and nowhere else. */
const LOOK_MS = 200;
/* How keys begin: a slip or a poster on the wall is no key, and is passed over. */
const KEY = "relais_";
const key = document.getElementById("key");
const says = document.getElementById("scan-says");
const view = document.getElementById("scan-view");
const stop = document.getElementById("scan-stop");

export async function open(button) {
  const told = button.dataset;
  let camera;
  button.hidden = true;
  try {
    const detector = await detecting(told.decoder);
    camera = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    says.textContent = told.waits;
    await shown(camera);
    stop.focus();
    const read = await first(detector, camera);
    says.textContent = "";
    if (read) {
      key.value = read;
      key.form.requestSubmit();
    }
  } catch {
    says.textContent = told.broken;
  } finally {
    camera?.getTracks().forEach((track) => track.stop());
    view.hidden = stop.hidden = true;
    button.hidden = false;
    if (!key.value) key.focus();
  }
}

async function detecting(decoder) {
  const own = globalThis.BarcodeDetector;
  const here = own && (await own.getSupportedFormats()).includes("qr_code");
  const Detector = here ? own : (await import(decoder)).BarcodeDetector;
  return new Detector({ formats: ["qr_code"] });
}

async function shown(camera) {
  view.srcObject = camera;
  view.hidden = stop.hidden = false;
  await view.play();
}

/* The first key that is seen; nothing once somebody stops the camera or leaves the page. */
async function first(detector, camera) {
  let stopped = false;
  const end = () => (stopped = true);
  stop.addEventListener("click", end, { once: true });
  addEventListener("pagehide", () => camera.getTracks().forEach((track) => track.stop()), { once: true });
  while (!stopped && camera.active) {
    /* A picture that is not there yet is one in which nothing is seen. */
    const seen = (await detector.detect(view).catch(() => [])).map((each) => each.rawValue.trim());
    const ours = seen.find((each) => each.startsWith(KEY));
    if (ours) return ours;
    await new Promise((next) => setTimeout(next, LOOK_MS));
  }
  return null;
}

/* The map of the network: what it is drawn with is fetched from us when somebody opens it, and nothing from elsewhere. */
const whole = document.getElementById("map");
const says = document.getElementById("map-says");
const stage = document.getElementById("map-stage");
const told = whole.dataset;
const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
const FONT = ["sans-serif"];
const OVERVIEW = 9;

export async function open(button) {
  button.hidden = true;
  says.textContent = told.loading;
  document.getElementById("map-whole").hidden = false;
  try {
    const map = await draw();
    says.textContent = "";
    /* Whoever opened it goes on in it, by keyboard too. */
    map.getCanvas().focus({ preventScroll: true });
  } catch {
    says.textContent = told.broken;
    document.getElementById("map-whole").hidden = true;
    button.hidden = false;
    button.focus();
  }
}

async function draw() {
  const [engine, world, facts] = await Promise.all([import(told.engine), read(told.world), read(told.facts), script(told.topology)]);
  engine.setWorkerUrl(told.worker);
  const none = { sources: {}, layers: [] };
  /* A base map that cannot be read is one that is not there. */
  const base = told.base ? await below(engine).catch(() => none) : none;
  const map = new engine.Map({
    container: stage,
    style: style(world, facts, base),
    bounds: around(facts),
    fitBoundsOptions: { padding: 60, maxZoom: OVERVIEW },
    maxZoom: 14,
    attributionControl: false,
    dragRotate: false,
    pitchWithRotate: false,
    touchPitch: false,
    fadeDuration: still ? 0 : 200,
    locale: { "Map.Title": told.title },
  });
  map.touchZoomRotate.disableRotation();
  map.keyboard.disableRotation();
  map.on("idle", () => tell(map, base.layers.map(({ id }) => id)));
  try {
    await new Promise((resolve, reject) => {
      map.once("load", resolve);
      /* A tile that does not come leaves a hole, and no more. */
      map.on("error", (event) => event.tile || reject(event.error));
    });
  } catch (error) {
    map.remove();
    throw error;
  }
  steer(map, facts);
  return map;
}

/* What can be seen now, for who looks at the page and not at the picture. */
function tell(map, base) {
  const seen = (layers) => String(map.queryRenderedFeatures({ layers }).length);
  Object.assign(stage.dataset, { zoom: map.getZoom().toFixed(2), east: map.getCenter().lng.toFixed(4), towns: seen(["towns"]), cells: seen(["cells"]), base: base.length ? seen(base) : "0" });
}

function steer(map, facts) {
  const view = { duration: still ? 0 : 400 };
  document.getElementById("map-nearer").onclick = () => map.zoomIn(view);
  document.getElementById("map-farther").onclick = () => map.zoomOut(view);
  document.getElementById("map-all").onclick = () => map.fitBounds(around(facts), { padding: 60, maxZoom: OVERVIEW, ...view });
  for (const button of document.querySelectorAll("[data-town]")) {
    const town = facts.towns.features.find((each) => String(each.properties.id) === button.dataset.town);
    if (!town) continue;
    button.hidden = false;
    button.onclick = () => {
      map.jumpTo({ center: town.geometry.coordinates, zoom: 11 });
      stage.scrollIntoView({ block: "center", behavior: still ? "auto" : "smooth" });
      map.getCanvas().focus({ preventScroll: true });
      says.textContent = [town.properties.name, town.properties.signs].filter(Boolean).join(": ");
    };
  }
}

async function read(path) {
  const answer = await fetch(path);
  /* Who is signed out is led to where one signs in. */
  if (answer.redirected) location.replace(answer.url);
  if (!answer.ok || answer.redirected) throw new Error(path);
  return answer.json();
}

/* Older scripts leave one name in the window, and export nothing. */
function script(path) {
  return new Promise((resolve, reject) => {
    const made = document.createElement("script");
    made.src = path;
    made.onload = resolve;
    made.onerror = reject;
    document.head.append(made);
  });
}

function around(facts) {
  const points = facts.towns.features.map((each) => each.geometry.coordinates);
  for (const cell of facts.cells.features) points.push(...cell.geometry.coordinates.flat(cell.geometry.type === "Polygon" ? 1 : 2));
  if (!points.length) return [[-12, 34], [32, 60]];
  const [across, up] = [points.map((each) => each[0]), points.map((each) => each[1])];
  return [[Math.min(...across), Math.min(...up)], [Math.max(...across), Math.max(...up)]];
}

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

function style(world, facts, base) {
  const { countries } = world.objects;
  const halo = { "text-color": colour("ink"), "text-halo-color": colour("card"), "text-halo-width": 1.6 };
  return {
    version: 8,
    sources: {
      land: { type: "geojson", data: topojson.feature(world, countries) },
      borders: { type: "geojson", data: topojson.mesh(world, countries, (one, other) => one !== other) },
      towns: { type: "vector", tiles: [location.origin + told.tiles], minzoom: 0, maxzoom: 12 },
      network: { type: "geojson", data: facts.towns },
      cells: { type: "geojson", data: facts.cells },
      ...base.sources,
    },
    layers: [
      { id: "water", type: "background", paint: { "background-color": colour("sea") } },
      { id: "land", type: "fill", source: "land", paint: { "fill-color": colour("card") } },
      ...base.layers,
      { id: "borders", type: "line", source: "borders", paint: { "line-color": colour("quiet"), "line-dasharray": [3, 2] } },
      { id: "cells", type: "fill", source: "cells", paint: { "fill-color": colour("good"), "fill-opacity": 0.18 } },
      { id: "cell-edges", type: "line", source: "cells", paint: { "line-color": colour("good"), "line-width": 2 } },
      { id: "towns", type: "circle", source: "towns", "source-layer": "towns", paint: { "circle-radius": 2.5, "circle-color": colour("quiet") } },
      {
        id: "names",
        type: "symbol",
        source: "towns",
        "source-layer": "towns",
        filter: ["!", ["in", ["id"], ["literal", facts.towns.features.map((each) => each.properties.id)]]],
        layout: { "text-field": ["get", "name"], "text-font": FONT, "text-size": 12, "text-offset": [0, 0.8], "text-optional": true, "symbol-sort-key": ["-", 0, ["get", "population"]] },
        paint: { ...halo, "text-color": colour("quiet") },
      },
      {
        id: "cell-signs",
        type: "symbol",
        source: "cells",
        minzoom: OVERVIEW + 1,
        layout: { "text-field": ["concat", "■ ", ["get", "free"], "/", ["get", "capacity"]], "text-font": FONT, "text-size": 13 },
        paint: halo,
      },
      { id: "network", type: "circle", source: "network", paint: { "circle-radius": 6, "circle-color": colour("act"), "circle-stroke-color": colour("card"), "circle-stroke-width": 2 } },
      {
        id: "network-signs",
        type: "symbol",
        source: "network",
        layout: { "text-field": ["concat", ["get", "name"], "\n", ["get", "signs"]], "text-font": FONT, "text-size": 14, "text-variable-anchor": ["bottom", "top", "left", "right"], "text-radial-offset": 0.7, "text-justify": "auto" },
        paint: halo,
      },
    ],
  };
}

/* The operator's base map: of whatever schema it is, water is drawn as water, roads as roads, and the rest faintly. */
async function below(engine) {
  await script(told.archive);
  const archive = new pmtiles.PMTiles(location.origin + told.base);
  const protocol = new pmtiles.Protocol();
  protocol.add(archive);
  engine.addProtocol("pmtiles", protocol.tile);
  const [{ tileType }, about] = await Promise.all([archive.getHeader(), archive.getMetadata()]);
  const thanks = new DOMParser().parseFromString(about.attribution || "", "text/html").body.textContent;
  document.getElementById("map-thanks").textContent = thanks && ` · ${thanks}`;
  const url = `pmtiles://${location.origin}${told.base}`;
  if (tileType !== pmtiles.TileType.Mvt) return { sources: { base: { type: "raster", url, tileSize: 256 } }, layers: [{ id: "base", type: "raster", source: "base" }] };
  const layers = (about.vector_layers || []).flatMap(({ id }) => {
    const paint = /water|ocean|river/.test(id) ? colour("sea") : /road|transport|path|rail/.test(id) ? colour("line") : colour("hair");
    const of = { source: "base", "source-layer": id };
    return [
      { id: `base-${id}`, type: "fill", ...of, filter: ["==", ["geometry-type"], "Polygon"], paint: { "fill-color": paint, "fill-opacity": 0.6 } },
      { id: `base-${id}-lines`, type: "line", ...of, filter: ["==", ["geometry-type"], "LineString"], paint: { "line-color": paint } },
    ];
  });
  return { sources: { base: { type: "vector", url } }, layers };
}

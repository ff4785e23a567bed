/** Wires the page: which part is shown, the key, the colours. Only this file imports all others. */

import { Admin } from "./admin.js";
import { Browse } from "./browse.js";
import { createSession, send } from "./api.js";
import { el, notice } from "./dom.js";
import { Explore } from "./explore.js";
import { howToStart } from "./first.js";
import { showKey } from "./key.js";
import { showReference } from "./reference.js";
import { Service } from "./service.js";

const VIEWS = ["metrics", "names", "api", "service", "admin"];
const TITLES = { metrics: "Metrics", names: "Names", api: "API", service: "Service", admin: "Administer" };

/** Which part the address names; /docs without a word is the reference. */
function viewOf(place) {
  const word = place.hash.slice(1).split(/[?/]/)[0];
  return VIEWS.includes(word) ? word : place.pathname === "/docs" ? "api" : "metrics";
}

/** Tell a screen reader. The same words can be told twice in a row. */
function say(text) {
  const line = document.getElementById("said");
  line.textContent = line.textContent === text ? `${text}\u00a0` : text;
}

function chooseColours() {
  const control = document.getElementById("theme");
  control.value = document.documentElement.dataset.theme;
  control.addEventListener("change", () => {
    document.documentElement.dataset.theme = control.value;
    try {
      localStorage.setItem("theme", control.value);
    } catch {
      say("This browser stores no settings; the colours stay until you leave the page");
    }
  });
}

/** What had the focus may be gone after a key was pressed: then the keyboard goes on at the content and not at the top. */
function keepFocus(main) {
  const keep = () => setTimeout(() => {
    if (document.activeElement === document.body) main.focus({ preventScroll: true });
  });
  for (const event of ["keyup", "popstate"]) window.addEventListener(event, keep);
}

/** Paper is light: a canvas is drawn in these colours before the browser prints it. */
function printLight() {
  const root = document.documentElement.dataset;
  let chosen = root.theme;
  window.addEventListener("beforeprint", () => {
    chosen = root.theme;
    root.theme = "light";
  });
  window.addEventListener("afterprint", () => { root.theme = chosen; });
}

function show(views) {
  const view = viewOf(location);
  document.getElementById("main").dataset.view = view;
  for (const name of VIEWS) {
    document.getElementById(`view-${name}`).hidden = name !== view;
    const link = document.querySelector(`nav [data-view=${name}]`);
    if (name === view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${TITLES[view]} · Glowing Fiesta`;
  views[view]?.follow();
}

async function start() {
  const main = document.getElementById("main");
  const session = createSession();
  chooseColours();
  printLight();
  keepFocus(main);
  document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault(); // the address names a part of the page and stays
    main.focus();
  });
  showKey(document.getElementById("view-key"), { session, say });
  show({});
  const service = new Service(document.getElementById("view-service"), { sign: document.getElementById("state") });
  service.start();
  const loading = el("p", { class: "hint", role: "status" }, "Loading the description of the API…");
  main.append(loading);
  const reply = await send({ path: "/openapi.json" }).catch(() => null);
  loading.remove();
  if (!reply?.ok) {
    main.append(notice({ title: "The API's description cannot be loaded", text: "Does the service run? Reload this page to try again." }));
    return;
  }
  if (!session.key && viewOf(location) === "metrics") document.getElementById("key-input").focus();
  const tools = { spec: reply.json, session, say };
  const views = {
    metrics: new Explore(document.getElementById("view-metrics"), { ...tools, first: howToStart(say), visible: () => viewOf(location) === "metrics" }),
    names: new Browse(document.getElementById("view-names"), { ...tools, visible: () => viewOf(location) === "names" }),
    admin: new Admin(document.getElementById("view-admin"), { ...tools, visible: () => viewOf(location) === "admin" }),
    api: showReference(document.getElementById("view-api"), tools),
    service,
  };
  show(views);
  let shown = viewOf(location);
  window.addEventListener("hashchange", () => {
    show(views);
    const same = viewOf(location) === shown; // as when the browser goes back to another question: the focus stays
    shown = viewOf(location);
    if (same || location.hash.includes("/")) return;
    main.focus({ preventScroll: true });
    window.scrollTo(0, 0);
  });
}

start();

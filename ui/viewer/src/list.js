// A list of faces to pick from. Texts come from people and CAD files: they are only ever set as textContent.
import { make } from "./stage.js";

// As ui/numbers.py writes numbers: four digits count, groups of three from five digits on.
function grouped(value) {
  const text = String(Number(value.toPrecision(4)));
  return value < 1e4 ? text : String(Math.round(Number(text))).replace(/\B(?=(\d{3})+$)/g, "\u202f");
}

export class List {
  // picked: a set of face indices that is shared with the view; changed: called when the list has changed it
  constructor(root, picked, changed) {
    this.root = root;
    this.picked = picked;
    this.changed = changed;
    this.search = make("input");
    this.search.type = "search";
    this.sum = make("span", "sum");
    this.clear = make("button");
    this.rows = make("div", "rows");
    const head = make("div", "head");
    head.append(this.search, this.sum, this.clear);
    root.replaceChildren(head, this.rows);
    this.search.addEventListener("input", () => this.draw());
    this.clear.addEventListener("click", () => this.change(() => this.picked.clear()));
  }

  update(data) {
    this.data = data;
    this.root.hidden = !data.listed;
    this.search.placeholder = data.words.search;
    this.search.setAttribute("aria-label", data.words.search);
    this.clear.textContent = data.words.clear;
    this.draw();
    this.root.dataset.ready = "1";
  }

  change(how) {
    how();
    this.changed();
  }

  toggle(index, on) {
    this.change(() => (on ? this.picked.add(index) : this.picked.delete(index)));
  }

  draw() {
    const { faces, words } = this.data;
    const n = this.picked.size;
    const area = faces.reduce((sum, f, i) => sum + (this.picked.has(i) ? f.square : 0), 0);
    const said = n === 0 ? words.none : n === 1 ? words.one : words.many.replace("{n}", n);
    this.sum.textContent = n ? `${said} · ${grouped(area)} mm²` : said;
    this.clear.hidden = n === 0;
    const wanted = this.search.value.trim().toLowerCase();
    const matches = (face) =>
      !wanted ||
      String(face.number) === wanted ||
      (!/^\d+$/.test(wanted) && `${face.what} ${face.where} ${face.names} ${face.area}`.toLowerCase().includes(wanted));
    const scrolled = this.rows.scrollTop;
    const table = make("table");
    const head = table.createTHead().insertRow();
    for (const [name, text] of [["n", words.face], ["", words.what], ["a", words.area], ["", words.where]])
      head.append(make("th", name, text));
    const body = table.createTBody();
    faces.forEach((face, i) => matches(face) && body.append(this.row(face, i)));
    this.rows.replaceChildren(body.rows.length ? table : make("div", "nothing", words.nothing));
    this.rows.scrollTop = scrolled;
  }

  row(face, i) {
    const on = this.picked.has(i);
    const row = make("tr", on ? "row on" : "row");
    row.dataset.face = face.number;
    const box = make("input");
    box.type = "checkbox";
    box.checked = on;
    box.setAttribute("aria-label", `${this.data.words.face} ${face.number}: ${face.what}, ${face.where}`);
    const swatch = make("span", face.colour ? "swatch" : "swatch bare");
    swatch.style.backgroundColor = face.colour;
    const first = make("td", "n");
    first.append(box, swatch, String(face.number));
    const what = make("td", "", face.what);
    if (face.names) what.append(make("span", "names", face.names));
    if (on && face.alike.some((j) => !this.picked.has(j))) {
      const more = make("button", "more", `+ ${this.data.words.alike} (${face.alike.length - 1})`);
      more.addEventListener("click", (event) => {
        event.stopPropagation();
        this.change(() => face.alike.forEach((j) => this.picked.add(j)));
      });
      what.append(document.createElement("br"), more);
    }
    row.append(first, what, make("td", "a", face.area), make("td", "", face.where));
    box.addEventListener("click", (event) => event.stopPropagation());
    box.addEventListener("change", () => this.toggle(i, box.checked));
    row.addEventListener("click", () => this.toggle(i, !this.picked.has(i)));
    return row;
  }
}

"use strict";
// The page is whole without this: it sorts, filters, and draws the scatter of two learners.
(() => {
  const $ = (id) => document.getElementById(id);
  const all = (query, root = document) => [...root.querySelectorAll(query)];
  const make = (name, attributes = {}, text = "") => {
    const space = "http://www.w3.org/2000/svg";
    const node = document.createElementNS(space, name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text) node.textContent = text;
    return node;
  };

  // Sort: the heads of a board become buttons. What is no number stays at the end.
  const value = (row, column) => row.cells[column].textContent.trim();
  const sort = (table, column, down) => {
    const body = table.tBodies[0];
    const text = column === 0;
    const rows = [...body.rows].map((row) => [row, text ? value(row, 0) : parseFloat(value(row, column))]);
    rows.sort(([, a], [, b]) => {
      if (text) return down ? b.localeCompare(a) : a.localeCompare(b);
      if (isNaN(a) || isNaN(b)) return isNaN(a) - isNaN(b);
      return down ? b - a : a - b;
    });
    body.append(...rows.map(([row]) => row));
  };
  for (const table of all("table.board")) {
    all("thead th", table).forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = head.textContent;
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        // Scores begin with the best, names and ranks with the first.
        const first = head.dataset.best || "ascending";
        const other = first === "ascending" ? "descending" : "ascending";
        const order = head.getAttribute("aria-sort") === first ? other : first;
        all("thead th", table).forEach((one) => one.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", order);
        sort(table, column, order === "descending");
      });
    });
  }

  // Filter: by benchmark (everywhere), metric, kind and name of the learner.
  let printing = false;
  const show = () => {
    const benchmark = $("benchmark").value, metric = $("metric").value;
    const kind = $("kind").value, words = $("learner").value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const part of all("[data-benchmark]"))
      part.hidden = Boolean(benchmark) && part.dataset.benchmark !== benchmark;
    let shown = 0, total = 0;
    for (const board of all(".boardbox, .allboards")) {
      const { benchmark: own, metric: its, first } = board.dataset;  // the board of all has none
      const right = own ? (metric ? its === metric : printing || first === "1") : !metric;
      board.hidden = !right || (Boolean(benchmark) && own !== benchmark);
      for (const row of all("tbody tr", board)) {
        const name = row.cells[0].textContent.toLowerCase();
        row.hidden = (Boolean(kind) && row.dataset.kind !== kind) || !words.every((w) => name.includes(w));
        if (!board.hidden) { total += 1; shown += !row.hidden; }
      }
    }
    $("count").textContent = `${shown} of ${total} rows`;
  };
  for (const id of ["benchmark", "metric", "kind", "learner"]) $(id).addEventListener("input", show);
  $("filter").addEventListener("submit", (event) => event.preventDefault());
  $("filter").hidden = false;
  show();

  // Scatter: one point a task, two learners of a benchmark at one number of shots.
  const data = JSON.parse($("tasks").textContent);
  const fill = (select, values, chosen) => {
    select.replaceChildren(...values.map((text, i) => new Option(text, i)));
    select.value = chosen < values.length ? chosen : 0;
  };
  const here = () => data[$("s-benchmark").value];
  const draw = () => {
    const one = here(), shots = one.shots[$("s-shots").value];
    const x = $("s-x").value, y = $("s-y").value;
    const [xs, ys] = [x, y].map((learner) => one.scores[learner][$("s-shots").value]);
    const points = xs.map((v, i) => [v, ys[i], one.tasks[i]]).filter(([a, b]) => a !== null && b !== null);
    const size = 440, left = 62, plot = size - left - 30;
    const values = points.flatMap(([a, b]) => [a, b]);
    let low = Math.min(...values), high = Math.max(...values);
    const pad = (high - low) * 0.06 || 0.05;
    low -= pad; high += pad;
    const at = (v) => ((v - low) / (high - low)) * plot;
    const px = (v) => left + at(v), py = (v) => 12 + plot - at(v);
    const svg = $("scatter");
    const axis = { stroke: "currentColor", "stroke-width": 1 };
    const nodes = [
      make("line", { x1: left, y1: 12 + plot, x2: left + plot, y2: 12 + plot, ...axis }),
      make("line", { x1: left, y1: 12, x2: left, y2: 12 + plot, ...axis }),
      make("line", { x1: left, y1: 12 + plot, x2: left + plot, y2: 12, stroke: "#8b8f94", "stroke-dasharray": "4 4" }),
    ];
    const label = (text, more) => nodes.push(make("text", { fill: "currentColor", "font-size": 12, ...more }, text));
    for (let i = 0; i <= 4; i += 1) {
      const v = low + ((high - low) * i) / 4, text = String(Number(v.toPrecision(3)));
      label(text, { x: px(v), y: 28 + plot, "text-anchor": "middle" });
      label(text, { x: left - 6, y: py(v) + 4, "text-anchor": "end" });
    }
    label(one.learners[x], { x: left + plot / 2, y: size - 6, "text-anchor": "middle" });
    label(one.learners[y], { x: 0, y: 0, "text-anchor": "middle", transform: `translate(13 ${12 + plot / 2}) rotate(-90)` });
    for (const [a, b, task] of points) {
      const dot = make("circle", { cx: px(a), cy: py(b), r: points.length > 60 ? 3.5 : 5.5 });
      dot.append(make("title", {}, `${task}: ${one.learners[x]} ${a}, ${one.learners[y]} ${b}`));
      nodes.push(dot);
    }
    const better = points.filter(([a, b]) => (one.lower ? b < a : b > a)).length;
    const worse = points.filter(([a, b]) => (one.lower ? b > a : b < a)).length;
    const mean = points.reduce((sum, [a, b]) => sum + b - a, 0) / points.length;
    const sign = mean < 0 ? "" : "+";
    const said = points.length
      ? `${one.metric}, k = ${shots}: ${one.learners[y]} is better than ${one.learners[x]} on ${better} of ${points.length} tasks, worse on ${worse}; mean difference ${sign}${mean.toFixed(3)}. ` +
        `Points ${one.lower ? "below" : "above"} the dashed line favour ${one.learners[y]}.`
      : "These two have no task in common.";
    svg.replaceChildren(make("title", {}, said), ...(points.length ? nodes : []));
    $("s-said").textContent = said;
    $("s-rows").replaceChildren(...points.map(([a, b, task]) => {
      const row = document.createElement("tr");
      const head = document.createElement("th");
      head.scope = "row"; head.textContent = task; row.append(head);
      for (const v of [a, b, Number((b - a).toPrecision(3))]) row.insertCell().textContent = v;
      return row;
    }));
    $("s-xhead").textContent = one.learners[x];
    $("s-yhead").textContent = one.learners[y];
  };
  const start = () => {
    const one = here();
    fill($("s-shots"), one.shots.map((k) => `k = ${k}`), one.shots.length - 1);
    fill($("s-x"), one.learners, 1);
    fill($("s-y"), one.learners, 0);
    draw();
  };
  if (data.length) {
    fill($("s-benchmark"), data.map((one) => one.benchmark), 0);
    $("s-benchmark").addEventListener("input", start);
    for (const id of ["s-shots", "s-x", "s-y"]) $(id).addEventListener("input", draw);
    $("pairs").hidden = false;
    start();
  }
  // In print nothing is folded away, and boards of all metrics are there unless one was chosen.
  addEventListener("beforeprint", () => {
    all("details").forEach((one) => { one.open = true; });
    printing = true; show();
  });
  addEventListener("afterprint", () => { printing = false; show(); });
})();

// An evaluation: what was right, what was taken for what, and the worst mistakes.

(() => {
  const { report, mistakes } = page;
  const percent = (share) => (share === null ? "–" : `${(share * 100).toFixed(2)} %`);
  const name = (index) => report.classes[index].name;
  const shown = report.classes.filter((each) => each.images > 0 || each.guessed > 0);

  document.title = `${report.model} — rnc eval`;
  find("title").textContent = `${report.model}: ${percent(report.top1_accuracy)} right`;
  find("summary").append(...entries([
    ["top-1", `${report.top1} of ${report.images} (${percent(report.top1_accuracy)})`],
    ["top-5", `${report.top5} of ${report.images} (${percent(report.top5_accuracy)})`],
    ["speed", `${report.images_per_s.toFixed(1)} images/s with decoding; ${report.isa}, ${report.threads} thread${report.threads === 1 ? "" : "s"}`],
  ]));

  // A cell's shade is the share of the row's images; the square root makes rare confusions visible.
  function matrix() {
    const labels = shown.length <= 40 ? 92 : 4, side = 640, cell = (side - labels) / shown.length;
    const place = new Map(shown.map((each, i) => [each.class, i]));
    const chart = find("matrix"), hover = find("hover");
    chart.setAttribute("viewBox", `0 0 ${side} ${side}`);
    for (const { class: truth, guess, images } of report.confusion) {
      const all = report.classes[truth].images;
      const x = labels + place.get(guess) * cell, y = labels + place.get(truth) * cell;
      const say = () => { hover.textContent = `${name(truth)} taken for ${name(guess)}: ${images} of ${all} (${percent(images / all)})`; };
      chart.append(svg("rect", { x, y, width: cell, height: cell, class: `cell ${truth === guess ? "right" : "wrong"}`, "fill-opacity": Math.sqrt(images / all).toFixed(3), onmouseover: say }));
      if (shown.length <= 20) chart.append(svg("text", { x: x + cell / 2, y: y + cell / 2 + 4, "text-anchor": "middle", class: images > all / 2 && "dark" }, images));
    }
    if (labels < 10) return;
    shown.forEach((each, i) => {
      const at = labels + (i + 0.5) * cell, short = each.name.slice(0, 14);
      chart.append(svg("text", { x: labels - 5, y: at + 4, "text-anchor": "end" }, short));
      chart.append(svg("text", { transform: `translate(${at + 4} ${labels - 5}) rotate(-90)` }, short));
    });
  }

  function classes() {
    const columns = [["name", "class"], ["images", "images"], ["top1", "top-1"], ["top5", "top-5"], ["recall", "recall", percent], ["precision", "precision", percent]];
    const head = document.querySelector("#classes thead"), body = document.querySelector("#classes tbody");
    let sorted, descending = false;
    function row(each) {
      const cells = columns.map(([key, , format]) => element("td", key === "name" ? {} : { class: "number" }, String(format ? format(each[key]) : each[key])));
      const bar = element("span", { class: "bar", style: `width:${((each.recall ?? 0) * 120).toFixed(1)}px` });
      return element("tr", {}, ...cells, element("td", {}, bar));
    }
    function sort(key) {
      descending = sorted === key && !descending;
      sorted = key;
      const order = shown.filter((each) => each.images > 0).sort((a, b) => (a[key] < b[key] ? -1 : a[key] > b[key] ? 1 : a.class - b.class));
      body.replaceChildren(...(descending ? order.reverse() : order).map(row));
      head.querySelectorAll("th[data-key]").forEach((each) => each.setAttribute("aria-sort", each.dataset.key !== key ? "none" : descending ? "descending" : "ascending"));
    }
    head.append(element("tr", {}, ...columns.map(([key, title]) => element("th", { "data-key": key, class: key === "name" ? undefined : "number", onclick: () => sort(key) }, title)), element("th")));
    sort("recall");
  }

  function worst() {
    find("mistakes-words").textContent = mistakes.length ? "Wrong, and most certain of it. The pictures are what the model saw." : "There is none.";
    find("mistakes").append(...mistakes.map((each) => {
      // Small images are shown pixel by pixel.
      const image = element("img", { src: each.picture ?? undefined, alt: each.file, loading: "lazy", onload: (event) => event.target.classList.toggle("pixels", event.target.naturalWidth < 80) });
      return element("figure", {}, image, element("figcaption", {},
        element("div", {}, `${name(each.class)} (${percent(each.class_probability)})`),
        element("div", { class: "wrong" }, `taken for ${name(each.guess)} (${percent(each.probability)})`),
        element("div", { class: "file", title: each.file }, each.file.split("/").slice(-2).join("/"))));
    }));
  }

  matrix();
  classes();
  worst();
})();

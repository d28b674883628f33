// Moving and zooming an SVG drawing.

class Viewport {
  constructor(canvas, drawing) {
    Object.assign(this, { canvas, drawing, x: 0, y: 0, scale: 1 });
    this.size = [1, 1];
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    canvas.addEventListener("pointerdown", (event) => this.press(event));
    canvas.addEventListener("keydown", (event) => this.key(event));
  }

  // Shows a drawing of this size from its top, as wide as it is but no larger.
  reset(size) {
    this.size = size;
    const { width } = this.canvas.getBoundingClientRect();
    this.scale = Math.min(1, (width - 40) / size[0]);
    this.x = (width - size[0] * this.scale) / 2;
    this.y = 20;
    this.apply();
  }

  fit() {
    const { width, height } = this.canvas.getBoundingClientRect();
    this.scale = Math.min(1, (width - 40) / this.size[0], (height - 40) / this.size[1]);
    this.x = (width - this.size[0] * this.scale) / 2;
    this.y = (height - this.size[1] * this.scale) / 2;
    this.apply();
  }

  // Zooms about a point of the canvas, or its middle.
  zoom(factor, at) {
    const { width, height } = this.canvas.getBoundingClientRect();
    const [x, y] = at ?? [width / 2, height / 2];
    const scale = Math.min(4, Math.max(0.005, this.scale * factor));
    this.x = x - (x - this.x) * scale / this.scale;
    this.y = y - (y - this.y) * scale / this.scale;
    this.scale = scale;
    this.apply();
  }

  // Brings a point of the drawing to the middle, large enough to be read.
  center([x, y]) {
    const { width, height } = this.canvas.getBoundingClientRect();
    this.scale = Math.max(this.scale, 0.8);
    this.x = width / 2 - x * this.scale;
    this.y = height / 2 - y * this.scale;
    this.apply();
  }

  move(dx, dy) {
    this.x += dx;
    this.y += dy;
    this.apply();
  }

  apply() {
    this.drawing.setAttribute("transform", `translate(${this.x} ${this.y}) scale(${this.scale})`);
  }

  wheel(event) {
    event.preventDefault();
    const box = this.canvas.getBoundingClientRect();
    if (event.ctrlKey || event.metaKey) this.zoom(Math.exp(-event.deltaY / 300), [event.clientX - box.x, event.clientY - box.y]);
    else if (event.shiftKey) this.move(-event.deltaY, -event.deltaX);
    else this.move(-event.deltaX, -event.deltaY);
  }

  press(event) {
    if (event.button !== 0) return;
    let [x, y] = [event.clientX, event.clientY];
    const start = [x, y];
    this.dragged = false;
    const moved = (next) => {
      // A click shakes a little.
      this.dragged ||= Math.hypot(next.clientX - start[0], next.clientY - start[1]) > 4;
      if (!this.dragged) return;
      this.canvas.classList.add("moving");
      this.move(next.clientX - x, next.clientY - y);
      [x, y] = [next.clientX, next.clientY];
    };
    const released = () => {
      this.canvas.classList.remove("moving");
      window.removeEventListener("pointermove", moved);
      window.removeEventListener("pointerup", released);
      window.removeEventListener("pointercancel", released);
    };
    window.addEventListener("pointermove", moved);
    window.addEventListener("pointerup", released);
    window.addEventListener("pointercancel", released);
  }

  key(event) {
    const step = 60;
    const actions = {
      "+": () => this.zoom(1.25), "=": () => this.zoom(1.25), "-": () => this.zoom(0.8), "0": () => this.fit(),
      ArrowUp: () => this.move(0, step), ArrowDown: () => this.move(0, -step), ArrowLeft: () => this.move(step, 0), ArrowRight: () => this.move(-step, 0),
    };
    const action = actions[event.key];
    if (!action || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    action();
  }
}

"""Reads the plots of a page, which Dagster draws on a canvas that holds no text.

The page records what is drawn, and the mouse is moved to each point, whose tooltip shows its position and value.
"""

from playwright.sync_api import Locator, Page

# Wide enough for the mouse to hit each of 120 months separately.
WIDE = {"width": 3000, "height": 1500}
_TAKE_NOTE = """
(() => {
  window.drawn = new Map();
  const of = (canvas) => {
    if (!drawn.has(canvas)) drawn.set(canvas, {points: new Set(), tooltips: new Set(), title: ""});
    return drawn.get(canvas);
  };
  const watch = (name, take) => {
    const original = CanvasRenderingContext2D.prototype[name];
    CanvasRenderingContext2D.prototype[name] = function (...given) {
      take(of(this.canvas), given);
      return original.apply(this, given);
    };
  };
  watch("arc", (seen, [x, y]) => seen.points.add(`${Math.round(x)},${Math.round(y)}`));
  // A tooltip is its title and, next, a line `name: value`.
  watch("fillText", (seen, [text]) => {
    if (text.includes(": ")) seen.tooltips.add(JSON.stringify([seen.title, ...text.split(": ")]));
    else seen.title = text;
  });
})();
"""
# Chart.js reads the mouse position once a frame, and draws the result in the next frame.
_TWO_FRAMES = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"


def take_note_of_plots(page: Page) -> None:
    """Make every page that is opened from now on record what it draws."""
    page.add_init_script(_TAKE_NOTE)


def find_plot(page: Page, name: str) -> Locator:
    """Return the canvas below a plot's name."""
    canvas = page.get_by_text(name, exact=True).first.locator("xpath=following::canvas[1]")
    canvas.scroll_into_view_if_needed()
    return canvas


def read_plot(page: Page, name: str) -> set[tuple[str, str]]:
    """Return title and value of each point's tooltip, such as ``("39", "5,928")``.

    A second reading includes the first one, and what had not been drawn by then.
    """
    canvas = find_plot(page, name)
    page.wait_for_function("canvas => drawn.get(canvas)?.points.size > 0", arg=canvas.element_handle())
    box = canvas.bounding_box()
    assert box is not None
    for point in canvas.evaluate("canvas => [...drawn.get(canvas).points]"):
        x, y = map(int, point.split(","))
        page.mouse.move(box["x"] + x, box["y"] + y)
        page.evaluate(_TWO_FRAMES)
    tooltips = canvas.evaluate("canvas => [...drawn.get(canvas).tooltips].map(JSON.parse)")
    return {(title, value) for title, label, value in tooltips if label == name}

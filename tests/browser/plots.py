"""What a plot on a page shows: Dagster draws it on a canvas, where no text can be found afterwards.

The page is made to take note of what is drawn, and the mouse is put on each point, so that the tooltip tells its value.
"""

from playwright.sync_api import Locator, Page

_TAKE_NOTE = """
(() => {
  window.drawn = new Map();
  const of = (canvas) => {
    if (!drawn.has(canvas)) drawn.set(canvas, {points: [], texts: []});
    return drawn.get(canvas);
  };
  const watch = (name, take) => {
    const original = CanvasRenderingContext2D.prototype[name];
    CanvasRenderingContext2D.prototype[name] = function (...given) {
      take(of(this.canvas), given);
      return original.apply(this, given);
    };
  };
  watch("arc", (seen, [x, y]) => seen.points.push(`${Math.round(x)},${Math.round(y)}`));
  watch("fillText", (seen, [text]) => seen.texts.push(text));
})();
"""


def take_note_of_plots(page: Page) -> None:
    """Let every page that is opened from now on take note of what it draws."""
    page.add_init_script(_TAKE_NOTE)


def find_plot(page: Page, name: str) -> Locator:
    """Return the canvas below a plot's name."""
    canvas = page.get_by_text(name, exact=True).first.locator("xpath=following::canvas[1]")
    canvas.scroll_into_view_if_needed()
    return canvas


def plotted_values(page: Page, name: str) -> set[str]:
    """Return the values of a plot's points as their tooltips write them, such as ``5,928``."""
    canvas = find_plot(page, name)
    page.wait_for_function("canvas => drawn.get(canvas)?.points.length > 0", arg=canvas.element_handle())
    values: set[str] = set()
    for point in canvas.evaluate("canvas => [...new Set(drawn.get(canvas).points)]"):
        x, y = map(int, point.split(","))
        canvas.evaluate("canvas => { drawn.get(canvas).texts = []; }")
        canvas.hover(position={"x": x, "y": y})
        tooltip = page.wait_for_function(
            "([canvas, name]) => drawn.get(canvas).texts.findLast(text => text.startsWith(`${name}: `))",
            arg=[canvas.element_handle(), name],
        ).json_value()
        values.add(str(tooltip).removeprefix(f"{name}: "))
    return values

#!/usr/bin/env python3
"""Look at the pages of `rnc inspect`, `rnc profile` and `rnc eval` as a person does:  tests/browser/report.py [TEST...]

Headless Chromium opens pages that the release binary writes; Selenium clicks, types, drags and reads. Needs the packages of
tests/browser/requirements.txt and Debian's chromium and chromium-driver. REPORT_PICTURES=DIR keeps pictures of what was seen.
"""
import json
import os
import re
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import WebDriverWait

ROOT = Path(__file__).resolve().parents[2]
RNC = ROOT / "target/release/rnc"
ARGUMENTS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
             "--disable-component-update", "--disable-sync", "--window-size=1400,900"]
# A name that ends a script, and letters that the text syntax quotes.
ODD = '</script><b>"a\\b'
ODD_CLASS = "<b>dog & friends"
ODD_GRAPH = r"""graph @"<i>net</i>"(%x: f32[N,4]) -> (%"</script><b>\"a\\b" as "out & <out>") {
  @w = random(1) : f32[4,8]
  %t = tanh(%x)
  %"</script><b>\"a\\b" = matmul(%t, @w)
}
"""


def rnc(*arguments):
    done = subprocess.run([RNC, *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        raise AssertionError(f"rnc {' '.join(map(str, arguments))}: {done.stderr}")
    return done.stdout


def picture(path, colour):
    """Writes 64×64 pixels of one colour as a BMP file."""
    red, green, blue = colour
    header = b"BM" + (54 + 64 * 64 * 3).to_bytes(4, "little") + bytes(4) + (54).to_bytes(4, "little")
    about = b"".join(n.to_bytes(4, "little") for n in (40, 64, 64)) + (1).to_bytes(2, "little") + (24).to_bytes(2, "little") + bytes(24)
    path.write_bytes(header + about + bytes([blue, green, red]) * (64 * 64))


def transform(text):
    """x, y and scale of the drawing."""
    return [float(number) for number in re.findall(r"-?[\d.]+(?:e-?\d+)?", text)]


class Report(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        folder = Path(cls.folder.name)
        cls.model, cls.plan, cls.profiled, cls.of_plan, cls.odd, cls.large, cls.timeline, cls.evaluation = (
            folder / name for name in ("resnet18.onnx", "resnet18.plan", "model.html", "plan.html", "odd.html", "large.html", "timeline.html", "evaluation.html"))
        rnc("zoo", "resnet18", "-o", cls.model, "--size", "64", "--classes", "10")
        rnc("compile", cls.model, "-o", cls.plan)
        rnc("inspect", cls.model, "--html", cls.profiled, "--profile", "--threads", "1", "--runs", "5")
        rnc("inspect", cls.plan, "--html", cls.of_plan)
        (folder / "odd.rnc").write_text(ODD_GRAPH)
        rnc("inspect", folder / "odd.rnc", "--html", cls.odd)
        rnc("profile", cls.plan, "--threads", "2", "--runs", "5", "--html", cls.timeline)
        for i, name in enumerate(["cat", ODD_CLASS]):
            (folder / "photos" / name).mkdir(parents=True)
            for n in range(4):
                picture(folder / "photos" / name / f"{n}.bmp", (60 * n, 90 * i, 255 - 60 * n))
        (folder / "labels.txt").write_text("\n".join([f"thing {n}" for n in range(8)] + ["cat", ODD_CLASS]))
        rnc("eval", cls.plan, folder / "photos", "--labels", folder / "labels.txt", "--preprocess", "imagenet", "--html", cls.evaluation)
        options = webdriver.ChromeOptions()
        options.binary_location = "/usr/bin/chromium"
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        for argument in ARGUMENTS:
            options.add_argument(argument)
        cls.browser = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))

    @classmethod
    def tearDownClass(cls):
        cls.browser.quit()
        cls.folder.cleanup()

    def open(self, page):
        self.browser.get(page.as_uri())
        self.page = json.loads(self.script("return document.getElementById('data').textContent"))

    def tearDown(self):
        pictures = os.environ.get("REPORT_PICTURES")
        if pictures:
            self.browser.save_screenshot(str(Path(pictures) / f"{self.id().split('.')[-1]}.png"))
        # What a page does wrong, it says there.
        self.assertEqual(self.browser.get_log("browser"), [])

    def script(self, text, *arguments):
        return self.browser.execute_script(text, *arguments)

    def all(self, selector):
        return self.browser.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector):
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def seen(self, selector):
        """The texts of what is visible."""
        return [each.text for each in self.all(selector) if each.is_displayed()]

    def tab(self, name):
        self.one(f"[data-tab={name}]").click()

    def search(self, words):
        self.one("#search").clear()
        self.one("#search").send_keys(words)

    def place(self):
        return transform(self.one("#drawing").get_attribute("transform"))

    def selected(self):
        return self.one("#details h2").text

    def test_a_page_asks_the_network_for_nothing(self):
        for page in (self.profiled, self.of_plan, self.timeline, self.evaluation):
            self.open(page)
            self.assertEqual(self.script("return performance.getEntriesByType('resource').length"), 0)
            self.assertNotRegex(page.read_text().replace("http://www.w3.org/2000/svg", ""), r"https?://")

    def test_both_graphs_are_drawn_with_all_their_operators(self):
        self.open(self.profiled)
        for which in ("imported", "optimized"):
            self.one(f"#show-{which}").click()
            nodes = self.page[which]["nodes"]
            self.assertEqual(len(self.all(".box")), len(nodes))
            self.assertEqual(len(self.all("path.line")), len(self.page[which]["edges"]))
            names = self.script("return [...document.querySelectorAll('.box .name')].map((each) => each.textContent)")
            self.assertIn(nodes[3]["name"], names)
        self.assertLess(len(self.page["optimized"]["nodes"]), len(self.page["imported"]["nodes"]))

    def test_a_search_goes_from_match_to_match(self):
        self.open(self.profiled)
        self.search("layer2.0 conv2d")
        found = self.one("#found").text
        self.assertEqual(found, f"{len(self.all('.box.match'))} found")
        names = [node["name"] for node in self.page["optimized"]["nodes"] if "layer2.0" in node["name"] and node["operator"] == "conv2d"]
        self.assertEqual(found, f"{len(names)} found")
        for number, name in enumerate(names, 1):
            self.one("#search").send_keys(Keys.ENTER)
            self.assertEqual((self.selected(), self.one("#found").text), (name, f"{number} of {len(names)}"))
            box, canvas = self.one(".box.selected").rect, self.one("#canvas").rect
            self.assertTrue(canvas["y"] < box["y"] and box["y"] + box["height"] < canvas["y"] + canvas["height"], (box, canvas))
        self.search("no such thing")
        self.assertEqual(self.one("#found").text, "0 found")

    def test_a_click_shows_attributes_weights_and_where_an_operator_comes_from(self):
        self.open(self.profiled)
        self.search("layer1.0.relu1")
        self.one("#search").send_keys(Keys.ENTER)
        self.one(".box.selected rect").click()
        details = self.one("#details").text
        for words in ("conv2d", "f32[N,64,16,16]", "activation\nrelu", "@layer1.0.conv1.weight", "f32[64,64,3,3]", "deviation",
                      "fold_batchnorm", "fuse_activation"):
            self.assertIn(words, details)
        self.assertEqual(len(self.all("#details .histogram")), 2)
        made_of = self.seen("#details .relative")
        self.assertEqual(made_of, ["%layer1.0.bn1", "%layer1.0.conv1", "%layer1.0.relu1"])
        # From there to the batch norm before the passes, and back.
        self.all("#details .relative button")[0].click()
        self.assertEqual(self.selected(), "layer1.0.bn1")
        self.assertIn("batch_norm", self.one("#details").text)
        self.assertEqual(self.one("#show-imported").get_attribute("aria-pressed"), "true")
        self.one("#details .relative button").click()
        self.assertEqual(self.selected(), "layer1.0.relu1")

    def test_the_picture_can_be_dragged_scrolled_and_zoomed(self):
        self.open(self.profiled)
        canvas = self.one("#canvas")
        x, y, scale = self.place()
        ActionChains(self.browser).move_to_element(canvas).click_and_hold().move_by_offset(40, -130).release().perform()
        self.assertEqual(self.place(), [x + 40, y - 130, scale])
        self.script("arguments[0].dispatchEvent(new WheelEvent('wheel', { deltaY: 100, bubbles: true, cancelable: true }))", canvas)
        self.assertEqual(self.place(), [x + 40, y - 230, scale])
        self.script("arguments[0].dispatchEvent(new WheelEvent('wheel', { deltaY: -90, ctrlKey: true, clientX: 300, clientY: 400, cancelable: true }))", canvas)
        self.assertGreater(self.place()[2], scale)
        self.one("#zoom-fit").click()
        last = self.all(".box")[-1].rect
        self.assertLess(last["y"] + last["height"], canvas.rect["y"] + canvas.rect["height"])
        canvas.send_keys("+")
        self.assertGreater(self.place()[2], 0)

    def test_the_memory_chart_shows_every_buffer_the_peak_and_the_bound(self):
        self.open(self.profiled)
        self.tab("memory")
        buffers, plan = self.page["report"]["memory"], self.page["report"]["plan"]
        rectangles = self.all("rect.buffer")
        self.assertEqual(len(rectangles), len(buffers))
        for rectangle, buffer in zip(rectangles, buffers):
            first = buffer["first_step"], buffer["last_step"]
            self.assertGreater(rectangle.rect["width"], 0, first)
        [peak], [bound] = self.seen(".peak-label"), self.seen(".bound-label")
        self.assertEqual(peak, f"peak {plan['arena_bytes'] / 1e3:.1f} kB")
        self.assertEqual(bound, f"lower bound {plan['arena_lower_bound'] / 1e3:.1f} kB")
        ActionChains(self.browser).move_to_element(rectangles[2]).perform()
        self.assertIn(buffers[2]["name"], self.one("#memory-hover").text)
        rectangles[2].click()
        self.assertEqual(self.selected(), buffers[2]["name"])

    def test_layers_have_work_time_and_distance_from_the_roof(self):
        self.open(self.profiled)
        self.tab("layers")
        steps = self.page["report"]["steps"]
        rows = self.all("#layers-table tbody tr")
        self.assertEqual(len(rows), len(steps))
        self.assertEqual(len(self.all("#roofline .dot")), sum(step["flops"] > 0 for step in steps))
        head = self.seen("#layers-table th")
        for title in ("MFLOP", "MB", "FLOP/byte", "µs", "GFLOP/s", "% of roof", "bound by"):
            self.assertIn(title, head)
        self.one("th[data-key=median_us]").click()
        column = head.index("µs") + 1
        times = [float(text) for text in self.seen(f"#layers-table tbody td:nth-child({column})")]
        self.assertEqual(times, sorted(times, reverse=True))
        self.assertGreater(times[-1], 0)
        self.all("#layers-table tbody tr")[0].click()
        slowest = max(range(len(steps)), key=lambda i: self.page["profile"]["steps"][i]["median_us"])
        self.assertEqual(self.selected(), steps[slowest]["name"])

    def test_the_passes_and_their_log_can_be_read_and_filtered(self):
        self.open(self.profiled)
        self.tab("passes")
        counts = {count["pass"]: count for count in self.page["passes"]["counts"]}
        rows = [row.split() for row in self.seen("#passes-table tbody tr")]
        self.assertIn(["fold_batchnorm", str(counts["fold_batchnorm"]["applied"]), "0"], [row[:3] for row in rows])
        self.one("#log-search").send_keys("fuse_residual_add applied")
        shown = self.seen("#log-table tbody tr")
        self.assertEqual(len(shown), counts["fuse_residual_add"]["applied"])

    def test_a_plan_shows_its_graphs_and_says_what_it_does_not_know(self):
        self.open(self.of_plan)
        self.assertEqual(len(self.all(".box")), len(self.page["optimized"]["nodes"]))
        self.search("gemm")
        self.one("#search").send_keys(Keys.ENTER)
        self.assertIn("make the report of the model", self.one("#details").text)
        self.assertEqual(self.all("#details .histogram"), [])
        self.tab("layers")
        self.assertIn("With --profile", self.one("#layers-words").text)
        self.tab("passes")
        self.assertIn("rnc inspect MODEL --html FILE", self.one("#passes-words").text)
        self.assertEqual(self.seen("#log-table"), [])

    def test_names_are_shown_as_they_are_whatever_is_in_them(self):
        self.open(self.odd)
        self.assertEqual(self.one("#title").text, "<i>net</i>")
        self.search("out &")
        self.one("#search").send_keys(Keys.ENTER)
        self.assertEqual(self.selected(), ODD)
        self.assertIn("out & <out>", self.one("#details").text)
        self.assertEqual(self.all("b, i"), self.all("#details b"))

    def test_a_timeline_has_a_row_for_each_thread_and_zooms(self):
        self.open(self.timeline)
        steps, spans = self.page["profile"]["steps"], self.page["spans"]
        self.assertEqual(len(self.all("#steps tbody tr")), len(steps))
        worked = [span for span in spans if span["tasks"] > 0]
        self.assertEqual(len(self.all("#timeline .work")), len(worked))
        self.assertIn("thread 1", self.seen("#timeline text"))
        slowest = max(steps, key=lambda step: step["median_us"])
        self.assertEqual(self.one("#steps tbody tr td:nth-child(2)").text, slowest["name"])
        # Over the bars a picture as wide as the page; its left half is half of the time.
        chart = self.one("#timeline")
        ActionChains(self.browser).move_to_element_with_offset(chart, -300, 0).click_and_hold().move_by_offset(250, 0).release().perform()
        self.assertLess(len(self.all("#timeline .work")), len(worked))
        self.one("#all").click()
        self.assertEqual(len(self.all("#timeline .work")), len(worked))

    def test_an_evaluation_shows_its_mistakes_and_says_what_was_taken_for_what(self):
        self.open(self.evaluation)
        report = self.page["report"]
        self.assertEqual(len(self.all("figure img")), min(10, report["images"] - report["top1"]))
        self.assertTrue(all(self.script("return [...document.images].map((each) => each.complete && each.naturalWidth > 0)")))
        self.assertEqual(self.all("b"), [])
        self.assertIn(ODD_CLASS, " ".join(self.seen("#classes td")))
        cell = self.all("#matrix .cell")[0]
        ActionChains(self.browser).move_to_element(cell).perform()
        self.assertIn(" taken for ", self.one("#hover").text)

    def test_resnet152_is_there_at_once_and_moves_smoothly(self):
        model = ROOT / "models/downloaded/zoo/resnet152.onnx"
        if not model.exists():
            model = Path(self.folder.name) / "resnet152.onnx"
            rnc("zoo", "resnet152", "-o", model)
        rnc("inspect", model, "--html", self.large)
        start = time.monotonic()
        self.open(self.large)
        loaded = time.monotonic() - start
        self.one("#show-imported").click()
        self.search("layer3.35")
        self.one("#search").send_keys(Keys.ENTER)
        self.assertEqual(len(self.all(".box")), len(self.page["imported"]["nodes"]))
        # Frames while the picture moves.
        self.script("""
            window.frames_seen = 0;
            const canvas = document.getElementById("canvas"), end = performance.now() + 1000;
            const frame = () => {
              window.frames_seen += 1;
              canvas.dispatchEvent(new WheelEvent("wheel", { deltaY: 25, cancelable: true }));
              if (performance.now() < end) requestAnimationFrame(frame); else window.frames_done = true;
            };
            requestAnimationFrame(frame);""")
        WebDriverWait(self.browser, 20).until(lambda _: self.script("return window.frames_done"))
        print(f"\nResNet-152: {len(self.page['imported']['nodes'])} boxes, loaded in {loaded:.2f} s, {self.script('return window.frames_seen')} frames a second while moving")


if __name__ == "__main__":
    unittest.main()

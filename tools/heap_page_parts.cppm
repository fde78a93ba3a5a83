// SPDX-License-Identifier: Apache-2.0
module;
#include <string_view>

export module tools:heap_page_parts;

/// What is the same in every page of heap_page().
export namespace tools {

/// Colours by part (u m s o k f x, see class_of()), light and dark.
inline constexpr std::string_view page_style = R"css(:root {
  color-scheme: light dark;
  --page: #f6f7f9; --card: #ffffff; --ink: #1b2430; --soft: #5d6b7c; --line: #dfe4ea;
  --u: #3f78d8; --m: #17a398; --s: #f2ab38; --o: #8793a3; --k: #b48ae0; --f: #e4e9ef; --x: #e0527d; --mark: #d6336c;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #10141a; --card: #181e26; --ink: #e6ebf2; --soft: #93a1b3; --line: #2b3440;
    --u: #5b93f0; --m: #2fc0b4; --s: #f0b24e; --o: #66748a; --k: #b596e6; --f: #252e39; --x: #f0709a; --mark: #ff6b9a;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, "DejaVu Sans", sans-serif; }
main { max-width: 1280px; margin: 0 auto; padding: 24px 24px 48px; }
header { display: flex; align-items: baseline; gap: 14px; flex-wrap: wrap; }
h1 { font-size: 26px; margin: 0; letter-spacing: -0.01em; }
header p { margin: 0; color: var(--soft); overflow-wrap: anywhere; }
h2 { font-size: 19px; margin: 18px 0 10px; }
h2 em { font-style: normal; color: var(--u); }
h3 { display: flex; align-items: baseline; gap: 4px 14px; flex-wrap: wrap; font-size: 15px; margin: 0 0 7px; }
h3 code, h3 span { font-weight: normal; color: var(--soft); font-size: 13px; }
h3 span { margin-left: auto; }
.arena { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 10px 18px 7px; margin: 14px 0; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(140px, 1fr)); gap: 10px; margin: 0 0 14px; }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 9px 14px; }
.tile dt { color: var(--soft); font-size: 12px; }
.tile dd { margin: 0; font-size: 20px; font-weight: 600; letter-spacing: -0.01em; font-variant-numeric: tabular-nums; }
.tile small { color: var(--soft); font-size: 11.5px; }
a { color: inherit; }
.bar { display: flex; height: 12px; border-radius: 6px; overflow: hidden; background: var(--f); }
.arena .bar { height: 4px; border-radius: 2px; margin-bottom: 9px; }
.bar i { height: 100%; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 22px; list-style: none; margin: 10px 0 0; padding: 0; font-size: 13px; }
.legend li { cursor: default; }
.legend i { display: inline-block; width: 12px; height: 12px; border-radius: 3px; margin-right: 7px; vertical-align: -1px; }
.legend b { font-weight: 600; }
.legend span, .scale { color: var(--soft); }
.legend .f { box-shadow: inset 0 0 0 1px var(--line); }
.legend .run { box-shadow: inset 0 0 0 2px var(--mark); }
.scale { font-size: 12.5px; }
.fault { color: var(--mark); font-weight: 600; }
i.u { background: var(--u); } i.m { background: var(--m); } i.s { background: var(--s); } i.o { background: var(--o); }
i.k { background: var(--k); } i.f { background: var(--f); } i.x { background: var(--x); }
svg { display: block; width: 100%; height: auto; }
svg text { fill: var(--soft); font-size: 10.5px; text-anchor: end; font-variant-numeric: tabular-nums; }
.u { fill: var(--u); } .m { fill: var(--m); } .s { fill: var(--s); } .o { fill: var(--o); }
.k { fill: var(--k); } .f { fill: var(--f); } .x { fill: var(--x); }
path { pointer-events: none; }
.largest { fill: none; stroke: var(--mark); stroke-width: 1.8; stroke-linejoin: round; }
.over { fill: none; stroke: var(--ink); stroke-width: 1.6; pointer-events: none; }
#tip { position: fixed; z-index: 1; max-width: 340px; padding: 8px 12px; border-radius: 8px; pointer-events: none;
  background: var(--ink); color: var(--page); font-size: 13px; box-shadow: 0 4px 18px rgb(0 0 0 / 0.3); }
#tip b { display: block; }
#tip table { border-spacing: 0; }
#tip td { padding: 0 12px 0 0; } #tip td + td { text-align: right; padding: 0; font-variant-numeric: tabular-nums; }
)css";

/// Shows what lies under the pointer. `tip(rect)` returns it as lines of [words] or [name, value]. When it has run,
/// data-rects of the document is the number of rects that have something to say.
inline constexpr std::string_view page_script = R"js((() => {
  'use strict';
  const box = document.getElementById('tip');
  const count = (n, one) => Number(n).toLocaleString('en-US') + ' ' + one + (Number(n) === 1 ? '' : 's');
  const bytes = n => count(n, 'byte');

  const block = ([at, size, asked, state]) => {
    if (state === 'arena') return [['The arena’s own'], ['address', '0x' + at], ['size', bytes(size)]];
    const lines = [[state + ' block'], ['address', '0x' + at], ['size', bytes(size)]];
    if (state === 'used' || state === 'movable') {
      const own = Math.min(state === 'movable' ? 24 : 8, size);
      lines.push(['asked', bytes(asked)], ['slack', bytes(size - own - asked)], ['overhead', bytes(own)]);
    }
    return lines;
  };
  const cell = ([at, size, blocks, ...mix]) => {
    const lines = [[count(blocks, 'small block')], ['address', '0x' + at], ['together', bytes(size)]];
    for (let i = 0; i < mix.length; i += 2) {
      lines.push([mix[i], bytes(mix[i + 1]) + ' · ' + Math.round(100 * mix[i + 1] / size) + ' %']);
    }
    return lines;
  };
  const tip = rect => rect.dataset.b ? block(rect.dataset.b.split(' ')) : cell(rect.dataset.m.split(' '));

  const frame = document.createElementNS('http://www.w3.org/2000/svg', 'rect');
  frame.setAttribute('class', 'over');
  const show = event => {
    const rect = event.target.closest && event.target.closest('rect[data-b], rect[data-m]');
    box.hidden = !rect;
    if (!rect) return frame.remove();
    if (frame.over !== rect) {
      frame.over = rect;
      for (const name of ['x', 'y', 'width', 'height']) frame.setAttribute(name, rect.getAttribute(name));
      const table = document.createElement('table');
      const [title, ...rows] = tip(rect);
      const head = document.createElement('b');
      head.textContent = title[0];
      for (const row of rows) {
        const line = table.insertRow();
        for (const text of row) line.insertCell().textContent = text;
      }
      box.replaceChildren(head, table);
    }
    rect.ownerSVGElement.append(frame);
    const x = event.clientX + 16, y = event.clientY + 18;
    box.style.left = Math.max(4, Math.min(x, innerWidth - box.offsetWidth - 8)) + 'px';
    box.style.top = (y + box.offsetHeight + 8 > innerHeight ? event.clientY - box.offsetHeight - 12 : y) + 'px';
  };
  addEventListener('pointermove', show);
  addEventListener('pointerdown', show);
  document.documentElement.addEventListener('pointerleave', () => { box.hidden = true; frame.remove(); });
  document.documentElement.dataset.rects = document.querySelectorAll('rect[data-b], rect[data-m]').length;
})();
)js";

}  // namespace tools

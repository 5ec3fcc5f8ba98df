"""What the browser does in a reader round: it keeps the guesses, so that a reload loses nothing, and asks for views."""

SCRIPT = """
const KEY = 'reader-rounds', MOST = 20, PATIENCE = 8000;
let kept = { at: null, rounds: {} }, waiting = 0;

// A browser may keep nothing for a page in a frame or in a private window: then the round lasts as long as the page.
function load() {
  try {
    const found = JSON.parse(localStorage.getItem(KEY));
    if (found?.rounds) kept = found;
  } catch {}
}
function save() {
  const names = Object.keys(kept.rounds);
  for (const name of names.slice(0, Math.max(0, names.length - MOST))) delete kept.rounds[name];
  try { localStorage.setItem(KEY, JSON.stringify(kept)); } catch {}
}
function address(text) {
  const here = new URL(location.href);
  for (const [name, value] of [['tab', 'round'], ['round', text]])
    text ? here.searchParams.set(name, value) : here.searchParams.delete(name);
  history.replaceState(history.state, '', here);
}
const view = () => element.querySelector('.round');
const state = text => kept.rounds[text] ?? { guesses: [], opened: 0 };

// The server computes a view from the guesses alone, so to ask again does no harm.
function ask(event, text, more) {
  clearTimeout(waiting);
  waiting = setTimeout(late, PATIENCE);
  view()?.classList.add('waiting');
  const said = JSON.stringify({ round: text, begun: text in kept.rounds, ...state(text), ...more });
  window.readerRound = () => said;
  trigger(event);
}
function late() {
  clearTimeout(waiting);
  waiting = 0;
  const shown = view();
  if (!shown) return;
  shown.classList.remove('waiting');
  if (shown.querySelector('.late')) return;
  const note = document.createElement('div');
  note.className = 'late problem';
  note.setAttribute('role', 'alert');
  note.innerHTML = 'No answer arrived. Your guess is kept. <button type="button" data-do="retry">Try again</button>';
  const hint = shown.querySelector('.hint');
  hint ? hint.after(note) : shown.prepend(note);
}
function begin(text) {
  const own = state(text);
  delete kept.rounds[text];  // the round in use is the last to be dropped
  kept.rounds[text] = own;
  save();
  ask('click', text);
}
function leave(text, seed) {
  kept.at = null;
  save();
  address(null);
  ask('submit', text, { begun: false, seed });
}
function again(text) {
  delete kept.rounds[text];
  begin(text);
}

// Guards against a view that is older than the guesses, such as an answer that came twice.
function fits(shown, own) {
  const { view: kind, case: at, given } = shown.dataset;
  return ['stage', 'truth'].includes(kind) && Number(at) === own.opened
    && Number(given) === (own.guesses[own.opened] ?? []).length;
}
function guess(shown, text, own, confidence) {
  const chosen = shown.querySelector('input[name=diagnosis]:checked');
  if (!chosen) {
    shown.querySelector('.hint').textContent = 'Choose a diagnosis first.';
    return;
  }
  (own.guesses[own.opened] ??= []).push([chosen.value, confidence]);
  save();
  ask('click', text);
}

element.addEventListener('click', event => {
  const button = event.target.closest('button'), shown = view();
  if (!button || !shown) return;
  load();
  const text = shown.dataset.round, own = state(text), action = button.dataset.do;
  if (button.dataset.image) trigger('select', { image: button.dataset.image });
  else if (action === 'begin') begin(text);
  else if (action === 'again') again(text);
  else if (action === 'retry') ask('click', text);
  else if (action === 'leave') leave(text);
  else if (action === 'another') leave(text, crypto.getRandomValues(new Uint32Array(1))[0] % 1000000);
  else if (waiting) return;
  else if (!fits(shown, own)) ask('click', text);
  else if (action === 'next') {
    own.opened += 1;
    save();
    ask('click', text);
  } else if (button.dataset.sure) guess(shown, text, own, button.dataset.sure);
});

// The last answer came; the view itself may be as it was before.
function settle() {
  clearTimeout(waiting);
  waiting = 0;
  view()?.classList.remove('waiting');
  view()?.querySelector('.late')?.remove();
}
window.roundSettled = settle;
window.roundFailed = () => waiting && late();

function arrived() {
  settle();
  const shown = view();
  if (!shown) return;
  const kind = shown.dataset.view, text = shown.dataset.round;
  document.body.dataset.round = { stage: 'running', truth: 'running', result: 'done' }[kind] ?? 'intro';
  if (kind === 'intro') {
    const own = kept.rounds[text], go = shown.querySelector('[data-do=begin]');
    if (own && go) {
      const ended = own.opened >= Number(shown.dataset.count);
      go.textContent = ended ? 'See the result' : `Continue with case ${own.opened + 1}`;
      shown.querySelector('[data-do=again]').hidden = false;
    }
  } else {
    load();
    kept.at = text;
    save();
    address(text);
    const heading = shown.querySelector('h2');
    heading.focus({ preventScroll: true });
    shown.scrollIntoView({ block: 'start' });
  }
}
watch('value', arrived);

load();
arrived();
window.openRound = text => ask('submit', text);
const asked = window.wantedRound ?? new URLSearchParams(location.search).get('round') ?? kept.at;
if (asked) ask('submit', asked);
"""

"""The teacher's view of a class, for the projector: how to join it, how many have voted, the case, and the guesses."""

PARTS = """
<div class="class-board" {opened}hidden>
<div data-part="join"></div>
<p class="class-numbers" data-part="numbers"></p>
<div data-part="view" aria-live="polite"></div>
<div class="class-controls">
<button type="button" data-move="next"></button>
<button type="button" data-move="show">Show the guesses so far</button>
<button type="button" data-form="pdf">Printed page (PDF)</button>
<button type="button" data-form="csv">All votes (CSV)</button>
<button type="button" data-do="join" aria-pressed="true">How to join</button>
<button type="button" data-do="full">Full screen</button>
<button type="button" data-do="close">Close the class</button>
</div>
</div>
<p class="problem" data-part="said" role="alert" hidden></p>
"""
STYLE = """
.class-board:fullscreen { background: var(--background-fill-primary); color: var(--body-text-color); overflow-y: auto;
  padding: 1.5rem 2.5rem; }
.class-numbers { font-size: var(--text-lg); font-weight: 600; margin: .9rem 0 .5rem;
  font-variant-numeric: tabular-nums; }
.class-controls { display: flex; flex-wrap: wrap; align-items: center; gap: .5rem; margin-top: .7rem;
  padding: .6rem 0; position: sticky; bottom: 0; z-index: 1; background: var(--background-fill-primary); }
.class-controls button { border: 1px solid var(--button-secondary-border-color); border-radius: 8px; font: inherit;
  background: var(--button-secondary-background-fill); color: inherit; padding: .5rem .9rem; min-height: 44px;
  cursor: pointer; }
.class-controls button:hover { background: var(--button-secondary-background-fill-hover); }
.class-controls [data-move=next] { background: var(--button-primary-background-fill); font-weight: 600; border: 0;
  color: var(--button-primary-text-color); }
.class-controls [data-move=next]:hover { background: var(--button-primary-background-fill-hover); }
.class-controls [data-do=close] { margin-left: auto; }
.class-board .case:has(> :last-child:empty) { grid-template-columns: minmax(0, 40rem); }
body[data-class=open] #class-setup { display: none; }
"""
SCRIPT = """
const KEPT = 'skin-lesion-class-teacher';
let me = null, now = {}, timer;
const part = name => element.querySelector(`[data-part=${name}]`);
const button = selector => element.querySelector(`button[${selector}]`);
const here = new URL(location.origin + location.pathname.replace(/\\/?$/, '/'));
const remember = () => {
  try { me ? localStorage.setItem(KEPT, JSON.stringify(me)) : localStorage.removeItem(KEPT); } catch {}
};
const say = text => { part('said').hidden = !text; part('said').textContent = text; };

function post(what, question) {
  return fetch(new URL('class/' + what, here), {
    method: 'POST', headers: { 'Content-Type': 'application/json' }, signal: AbortSignal.timeout(15000),
    body: JSON.stringify({ ...me, turn: now.turn ?? null, ...question }),
  });
}

async function ask(what, question) {
  clearTimeout(timer);
  const whom = me;
  try {
    const given = await post(what, now.turn === undefined ? { ...question, address: here.href } : question);
    if (me !== whom) return;
    const told = await given.json();
    if (given.ok) arrived(told);
    else if (given.status === 403 || given.status === 404) { leave(); say(told.detail); }
    else say(told.detail);
  } catch {
    say('No answer from the server. Trying again.');
  }
  clearTimeout(timer);
  if (me) timer = setTimeout(() => ask('watch', {}), 1000);
}

function arrived(told) {
  if (told.turn < now.turn) return;
  say('');
  board().hidden = false;
  document.body.dataset.class = 'open';
  if (told.join !== undefined) part('join').innerHTML = told.join;
  if (told.html !== undefined) part('view').innerHTML = told.html;
  // Who comes late asks for it; a case needs the room.
  if (now.turn === undefined || (now.turn === 0 && told.turn === 1)) showJoin(told.turn === 0);
  now = { ...now, ...told };
  const phones = now.phones === 1 ? '1 phone is in the class.' : `${now.phones} phones are in the class.`;
  const voted = now.open ? ` ${now.voted} of ${now.phones} have voted.` : '';
  if (part('numbers').textContent !== phones + voted) part('numbers').textContent = phones + voted;
  button('data-move=next').hidden = !now.next;
  button('data-move=next').textContent = now.next ?? '';
  button('data-move=show').hidden = !now.open;
  for (const one of element.querySelectorAll('[data-form]')) one.hidden = Boolean(now.next);
}

function board() { return element.querySelector('.class-board'); }

function showJoin(yes) {
  part('join').hidden = !yes;
  button('data-do=join').setAttribute('aria-pressed', String(yes));
}

function leave() {
  me = null;
  now = {};
  remember();
  delete document.body.dataset.class;
  for (const name of ['join', 'view', 'numbers']) part(name).replaceChildren();
  board().hidden = true;
}

async function close() {
  const whom = me;
  clearTimeout(timer);
  me = null;  // an answer that is still under way is about a class that is no more
  try {
    const given = await post('close', whom);
    if (given.ok || given.status === 404) { leave(); return; }
    say((await given.json()).detail);
  } catch {
    say('No answer from the server. Please try again.');
  }
  me = whom;
  ask('watch', {});
}

async function download(form) {
  try {
    const given = await post('result', { form });
    if (!given.ok) { say((await given.json()).detail); return; }
    const link = document.createElement('a');
    link.href = URL.createObjectURL(await given.blob());
    link.download = `class.${form}`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  } catch {
    say('No answer from the server. Please try again.');
  }
}

element.addEventListener('click', event => {
  const at = event.target.closest('button');
  if (!at) return;
  const { move, form, image } = at.dataset, what = at.dataset.do;
  if (image) trigger('click', { image });
  else if (move) ask('move', { move });
  else if (form) download(form);
  else if (what === 'join') showJoin(part('join').hidden);
  else if (what === 'full') document.fullscreenElement ? document.exitFullscreen() : board().requestFullscreen();
  else if (what === 'close' && confirm('Close the class? All its votes are then gone, here and on the server.'))
    close();
});
function start() {
  const { code, teacher } = board().dataset;
  if (!code) return false;
  delete board().dataset.teacher;
  me = { code, teacher };
  now = {};
  remember();
  ask('watch', {});
  return true;
}
watch('value', start);
if (!start()) {
  try { me = JSON.parse(localStorage.getItem(KEPT)); } catch {}
  if (me) ask('watch', {});
}
"""


def board(code: str = "", teacher: str = "") -> str:
    """The view, still empty: SCRIPT fills it once a class is open.

    Args:
        code, teacher: of a class just opened.
    """
    return PARTS.format(opened=f'data-code="{code}" data-teacher="{teacher}" ' if code else "")

import { describe, expect, test } from 'vitest';

import { diagnose, type Action } from '../../../src/relay/notifications/status-code.js';

describe('C-127: the Status field fits the action and is the most exact that is known (RFC 3463)', () => {
  test.each([
    ['failed', '550 5.1.1 No such user', '5.1.1', "the hop's own"],
    ['failed', '550 No such user', '5.0.0', 'a hop without enhanced codes'],
    ['failed', '550 4.1.1 mixed up', '5.0.0', 'a class that the failure denies'],
    ['failed', '550 5.1.1000 x', '5.0.0', 'no code: four digits'],
    ['failed', '550 15.1.1 x', '5.0.0', 'no code: class 15'],
    ['failed', '5.6.7 the next hop does not support SMTPUTF8', '5.6.7', 'an obstacle that we found'],
    ['failed', '5.6.3 the next hop does not support 8BITMIME', '5.6.3', 'an obstacle that we found'],
    ['failed', '5.3.4 larger than the next hop takes', '5.3.4', 'an obstacle that we found'],
    ['failed', '5.4.6 the message loops', '5.4.6', 'an obstacle that we found'],
    ['failed', '5.1.10 the domain takes no mail', '5.1.10', 'a null MX'],
    ['failed', 'the stored message is damaged', '5.0.0', 'no code at all'],
    ['failed', 'expired: 451 4.7.1 Come back later', '4.4.7', 'RFC 3463 §3.5: the time is over'],
    ['failed', 'expired: connect ECONNREFUSED 192.0.2.1:25', '4.4.7', 'nobody ever answered'],
    ['delayed', '451 4.7.1 Come back later', '4.7.1', "the hop's own"],
    ['delayed', '421 closing', '4.0.0', 'a hop without enhanced codes'],
    ['delayed', '451 5.7.1 mixed up', '4.0.0', 'a class that the delay denies'],
    ['delayed', 'connect ECONNREFUSED 192.0.2.1:25', '4.0.0', 'nobody answered'],
    ['delivered', '250 2.1.5 Ok', '2.1.5', "the hop's own"],
    ['delivered', 'stored as 1763810289.M0Q0D9.mx', '2.0.0', 'a Maildir'],
    ['relayed', '250 Ok', '2.0.0', 'a hop without enhanced codes'],
  ] as [Action, string, string, string][])('%s, %j: %s, %s', (action, lastReply, status) => {
    expect(diagnose(action, lastReply).status).toBe(status);
  });

  test('the diagnostic of what expired is the last reply', () => {
    expect(diagnose('failed', 'expired: 451 4.7.1 Come back later')).toEqual({
      status: '4.4.7',
      reply: '451 4.7.1 Come back later',
      expired: true,
    });
  });

  test('a hop cannot make its reply look expired', () => {
    expect(diagnose('failed', '550 expired: long ago').expired).toBe(false);
    expect(diagnose('delayed', 'expired: x').expired).toBe(false);
  });
});

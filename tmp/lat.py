import sys,time,statistics; sys.path.insert(0,'tests')
from exchange_servers import *; from exchange_builders import *
from test_exchange_http import Calls, BETTING, call
import requests, json
with served(exchange_of(), lambda _: Calls().operations()) as s:
    h=s.headers(); S=requests.Session(); url=s.base+"/exchange/betting/json-rpc/v1"
    t=[]
    for _ in range(1500):
        a=time.perf_counter(); S.post(url,json=call(BETTING+"placeOrders",{"marketId":"1.1","instructions":[{"selectionId":1,"limitOrder":{"price":2,"size":2}}]}),headers=h); t.append(time.perf_counter()-a)
    print("median ms",statistics.median(t)*1e3, "p99", sorted(t)[int(len(t)*.99)]*1e3)

//! The serving node's part of a relayed request: asks residency again, then its own pool.

use std::future::Future;
use std::rc::Rc;

use graticule_node_core::decide::{Relayed, serve};
use graticule_node_core::framing::RequestHead;
use graticule_node_core::policy::{Content, PoolIndex, TenantIndex};
use graticule_node_core::shared::InFlightGuard;
use graticule_node_core::{Reason, path};
use http::Response;

use super::{Current, Gateway, answer, dispatch};
use crate::body::{RequestBody, ResponseBody};
use crate::early::Listener;
use crate::relay::Server;

/// A relayed request that this node takes.
#[derive(Debug)]
pub struct Admission {
    snapshot: Current,
    tenant: TenantIndex,
    pool: PoolIndex,
    guard: InFlightGuard,
}

impl Server for Gateway {
    type Admission = Admission;

    fn admit(&self, head: &RequestHead) -> Result<Admission, Reason> {
        let guard =
            self.in_flight.try_enter(self.settings.requests_in_flight_max).ok_or(Reason::Overloaded)?;
        // In this order: see `Drain`.
        if !self.shared.drain.admits() {
            return Err(Reason::Draining);
        }
        let snapshot = self.snapshot();
        let path = path::form(head.target.path())?;
        let query = head.target.query().unwrap_or_default();
        let content = Content { method: &head.method, path: &path, query, headers: &head.headers };
        let chance = self.chance();
        let relayed = Relayed { tenant: &head.tenant, content, client: head.client, chance };
        let (tenant, pool) = serve(&snapshot, &relayed)?;
        Ok(Admission { snapshot, tenant, pool, guard })
    }

    fn is_leaving(&self) -> bool {
        self.shared.drain.is_draining()
    }

    fn passes_on_informational(&self, admission: &Admission) -> bool {
        let tenant = admission.snapshot.policy.tenant(admission.tenant);
        tenant.is_some_and(|tenant| tenant.informational)
    }

    fn forward(
        self: Rc<Self>,
        admission: Admission,
        head: RequestHead,
        body: RequestBody,
        listener: Option<Listener>,
    ) -> impl Future<Output = Result<Response<ResponseBody>, Reason>> {
        let RequestHead { method, target, mut headers, authority, .. } = head;
        headers.append(http::header::VIA, self.settings.via.clone());
        let mut request = dispatch::backend_request(&method, &target, (&mut headers, &authority), body);
        if let Some(listener) = listener {
            listener.listen(&mut request);
        }
        async move {
            let Admission { snapshot, tenant, pool, guard } = admission;
            let asked = self.asked(&snapshot, (tenant, pool), request.headers());
            let sent =
                self.backends.send(asked.ok_or(Reason::NoCompliantRegion)?, self.chance(), request).await;
            let mut response = sent.map_err(|failure| failure.reason)?.map(ResponseBody::backend);
            answer::from_backend(&mut response);
            response.headers_mut().append(http::header::VIA, self.settings.via.clone());
            response.body_mut().hold(guard);
            Ok(response)
        }
    }
}

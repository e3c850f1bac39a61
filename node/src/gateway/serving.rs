//! The serving node's part of a relayed request: asks residency again, then its own pool.

use std::future::Future;
use std::rc::Rc;

use graticule_node_core::decide::{Relayed, serve};
use graticule_node_core::framing::RequestHead;
use graticule_node_core::policy::TenantIndex;
use graticule_node_core::shared::InFlightGuard;
use graticule_node_core::{Reason, path};
use http::Response;

use super::{Current, Gateway, answer, dispatch};
use crate::body::{RequestBody, ResponseBody};
use crate::relay::Server;

/// A relayed request that this node takes.
#[derive(Debug)]
pub struct Admission {
    snapshot: Current,
    tenant: TenantIndex,
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
        let relayed = Relayed { tenant: &head.tenant, path: &path, client: head.client };
        let tenant = serve(&snapshot, &relayed)?;
        Ok(Admission { snapshot, tenant, guard })
    }

    fn is_leaving(&self) -> bool {
        self.shared.drain.is_draining()
    }

    fn forward(
        self: Rc<Self>,
        admission: Admission,
        head: RequestHead,
        body: RequestBody,
    ) -> impl Future<Output = Result<Response<ResponseBody>, Reason>> {
        let RequestHead { method, target, mut headers, authority, .. } = head;
        headers.append(http::header::VIA, self.settings.via.clone());
        let request = dispatch::backend_request(&method, &target, (&mut headers, &authority), body);
        async move {
            let Admission { snapshot, tenant, guard } = admission;
            let owner = snapshot.policy.tenant(tenant).ok_or(Reason::PolicySkew)?;
            let pool = owner.pool(snapshot.here.region).ok_or(Reason::NoCompliantRegion)?;
            let healthy = snapshot.pools.of(tenant).unwrap_or_default();
            let sent = self.backends.send(healthy, pool, self.chance(), request).await;
            let mut response = sent.map_err(|failure| failure.reason)?.map(ResponseBody::backend);
            answer::from_backend(&mut response);
            response.headers_mut().append(http::header::VIA, self.settings.via.clone());
            response.body_mut().hold(guard);
            Ok(response)
        }
    }
}
